"""Fixtures that several files of this room share."""

from tests.helpers.detecting import detect
from tests.helpers.killed_runs import piled

__all__ = ['detect', 'piled']
