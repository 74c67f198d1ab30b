"""Runs of one process that know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer


def forget_instances() -> None:
    """Forget loggers, visualizers and default scopes, which outlive their runs."""
    for kind in (MMLogger, MessageHub, DefaultScope, *_with_subclasses(Visualizer)):
        kind._instance_dict.clear()


def _with_subclasses(kind: type) -> Iterator[type]:
    yield kind
    for each in kind.__subclasses__():
        yield from _with_subclasses(each)
