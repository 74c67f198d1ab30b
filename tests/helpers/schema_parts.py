"""The parts of a `distill` section, as its schema states them."""

from __future__ import annotations

from dataclasses import fields

from mmdistill.config.schema import (
    DistillConfig,
)


def parts(kind=DistillConfig):
    yield kind
    for each in fields(kind):
        if 'section' in each.metadata:
            yield from parts(each.metadata['section'])
