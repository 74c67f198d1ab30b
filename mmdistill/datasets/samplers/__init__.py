"""Samplers: mixed batches, and batches within a chunk of a store."""
