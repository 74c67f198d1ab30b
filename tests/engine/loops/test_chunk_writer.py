"""Chunks are written beside the loop, in order, and no error of theirs is lost."""

from __future__ import annotations

import threading
import time

import pytest

from mmdistill.engine.loops.chunk_writer import ChunkWriter


def test_the_loop_goes_on_while_a_chunk_is_written():
    computed = threading.Event()
    waited = []
    with ChunkWriter(lambda chunk, rows: waited.append(computed.wait(10))) as writer:
        writer.submit(0, ['a'])
        computed.set()
    assert waited == [True]


def test_no_more_than_one_chunk_is_in_work():
    in_work, most = [], []

    def write(chunk, rows):
        in_work.append(chunk)
        most.append(len(in_work))
        time.sleep(0.01)
        in_work.remove(chunk)

    with ChunkWriter(write) as writer:
        for chunk in range(4):
            writer.submit(chunk, ['a'])
    assert most == [1] * 4


def full_disk(chunk, rows):
    raise OSError(f'chunk {chunk}')


def run(write, chunks, error=None):
    """A loop that ends by an error if there is one."""
    with ChunkWriter(write) as writer:
        for chunk in range(chunks):
            writer.submit(chunk, ['a'])
        if error is not None:
            raise error


@pytest.mark.parametrize('chunks', [1, 2])
def test_an_error_of_writing_ends_the_loop(chunks):
    with pytest.raises(OSError, match='chunk 0'):
        run(full_disk, chunks)


def test_an_error_of_the_loop_waits_for_what_is_being_written():
    written = []

    def write(chunk, rows):
        time.sleep(0.05)
        written.append(chunk)

    with pytest.raises(ValueError, match='teacher'):
        run(write, 1, ValueError('teacher'))
    assert written == [0]
