"""Benchmarks are scripts that import each other by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[3] / 'tools' / 'benchmarks'


@pytest.fixture(scope='session')
def load() -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of tools/benchmarks by its name."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
