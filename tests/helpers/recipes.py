"""The toy recipes of the repository."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / 'configs' / 'distill' / 'toy'
STUDENT = str(RECIPES / 'student.py')
TEACHER = str(RECIPES / 'teacher.py')
DETECTOR = RECIPES / 'detector.py'
