"""A process keeps its freed memory, unless its user set the allocator."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from mmdistill.utils.allocator import OWN_SETTINGS

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='only glibc has the setting'
)
PAGES = 16 * 1024
FAULTS = """
import resource, sys
from mmdistill.utils.allocator import keep_freed_memory

def batch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(4 * 2**20) for _ in range(16)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory() if sys.argv[1] == 'keep' else False
batch()
print(kept, batch() + batch() + batch())
"""
"""Prints whether memory is kept, and the pages of three batches of 16 MiB × 4."""


def faults(mode, **variables):
    environment = {k: v for k, v in os.environ.items() if k not in OWN_SETTINGS}
    words = [sys.executable, '-c', FAULTS, mode]
    result = subprocess.run(
        words, env=environment | variables, capture_output=True, text=True, check=True
    )
    kept, pages = result.stdout.split()
    return kept == 'True', int(pages)


@needs_glibc
def test_memory_is_needed_again_without_new_pages():
    kept, pages = faults('keep')
    assert kept
    assert pages < PAGES / 16
    kept, pages = faults('leave')
    assert not kept
    assert pages > PAGES / 2


@needs_glibc
def test_the_settings_of_the_user_stay():
    kept, pages = faults('keep', MALLOC_TRIM_THRESHOLD_='0')
    assert not kept
    assert pages > PAGES / 2
