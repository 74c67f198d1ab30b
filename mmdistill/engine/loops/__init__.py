"""Loops that label, detect, and train in a resumable way."""
