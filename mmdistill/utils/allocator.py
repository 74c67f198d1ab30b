"""Memory of a process that is freed and needed again, as that of every batch.

glibc returns freed memory to the system, which hands it out again page by page, each
filled with zeros: almost half of what a loader's worker costs beside decoding.
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's parameters, see mallopt(3)."""
LARGEST_BLOCK = 2**28
"""Size up to which blocks are kept, bytes."""
MOST_KEPT = 2**31 - 1
"""Free memory that is kept at the end of the heap, bytes: the most an int holds."""
OWN_SETTINGS = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES')
"""Variables of the environment by which a user sets the allocator."""


def keep_freed_memory() -> bool:
    """Make this process, and those forked from it, keep what they free for later.

    What the environment says of the allocator is left as it is.

    Returns:
        Whether it does so; C libraries other than glibc have no such setting.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if any(name in os.environ for name in OWN_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
    return bool(kept and mallopt(M_TRIM_THRESHOLD, MOST_KEPT))
