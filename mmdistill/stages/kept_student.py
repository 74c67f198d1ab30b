"""The student that is kept of all rounds: a plain checkpoint of a stock model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mmdistill.engine.checkpoint import load_local
from mmdistill.utils.files import write_whole

STUDENT_FILE = 'student.pth'
"""Name of the file in the work folder of the rounds."""


@dataclass(frozen=True)
class Student:
    """A trained student.

    Attributes:
        round: Number of its round, from 1.
        seed: Its seed.
        checkpoint: Its weights, a plain file.
        config: The file of its training config.
        score: How good it is on the held-out images, greater being better; 0 where
            there are none.
    """

    round: int
    seed: int
    checkpoint: Path
    config: Path
    score: float = 0.0


def write_student(student: Student, path: Path) -> None:
    """Write a student's weights with its round and seed in the meta.

    Args:
        student: The student.
        path: The file; equal students give equal bytes.

    Raises:
        UserError: If the weights cannot be read or the file cannot be written.
    """
    content = load_local(str(student.checkpoint), 'cpu')
    meta = dict(content.get('meta') or {}, round=student.round, seed=student.seed)
    # The run's own text says whether it was resumed.
    meta['cfg'] = student.config.read_text(encoding='utf-8')
    content = dict(content, meta=meta)

    def write(temporary: Path) -> None:
        # An open file: torch writes the name of a path into the file.
        with temporary.open('wb') as file:
            torch.save(content, file)

    write_whole(path, write)
