"""Batch samplers: mixed training batches, and labeling batches within store chunks."""
