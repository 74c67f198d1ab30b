"""Amounts of a plan, in words."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Format a time by its largest fitting unit.

    Args:
        seconds: The time.

    >>> format_duration(60), format_duration(600), format_duration(7200)
    ('60 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def format_size(num_bytes: float) -> str:
    """Format a size on disk.

    Args:
        num_bytes: The size.

    >>> format_size(2.4e6), format_size(3e9)
    ('2.4 MB', '3 GB')
    """
    return (
        f'{num_bytes / 1e6:.2g} MB' if num_bytes < 1e9 else f'{num_bytes / 1e9:.2g} GB'
    )
