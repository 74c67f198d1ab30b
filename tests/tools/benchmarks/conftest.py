"""A benchmark is a module or a package below tools/benchmarks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture(scope='session')
def load() -> Callable[[str], ModuleType]:
    """Import a module of tools/benchmarks by its name."""
    return lambda name: importlib.import_module(f'tools.benchmarks.{name}')
