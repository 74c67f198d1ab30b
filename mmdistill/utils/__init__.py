"""Helpers of every room: files, logging, processes, growing arrays."""
