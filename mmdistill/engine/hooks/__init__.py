"""Hooks of labeling and of training."""
