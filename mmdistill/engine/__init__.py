"""Runners, loops and hooks for MMEngine, and safe loading of checkpoints."""
