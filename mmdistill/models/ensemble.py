"""An ensemble of teachers: built, checked against each other, and moved in turns."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mmdistill.config.metainfo import order_keypoints
from mmdistill.errors import ConfigError
from mmdistill.functional.views import View
from mmdistill.models.setting_checks import check_fusion
from mmdistill.models.teacher import Running, Teacher
from mmdistill.registry import MODELS

DEFAULT_PADDING = 1.25
"""Padding of `GetBBoxCenterScale` where a pipeline states none."""


def ordered_module(module: dict | torch.nn.Module) -> dict | torch.nn.Module:
    """Bring the metainfo that a model's config may state into the order of numbers.

    Args:
        module: A pose estimator, which is returned, or its config, which is copied.
    """
    if isinstance(module, dict):
        module = copy.deepcopy(module)
        order_keypoints(module)
    return module


def names_of(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the further teachers of an ensemble: stated, or those of a recipe.

    Args:
        parts: The teachers after the first, each with a `name` or without.

    >>> names_of([dict(name='model[1], b.py'), {}])
    ['model[1], b.py', 'distill.teacher[2]']
    """
    return [
        part.get('name') or f'distill.teacher[{number}]'
        for number, part in enumerate(parts, start=1)
    ]


def build_ensemble(
    parts: Sequence[Mapping[str, Any]], running: Running
) -> list[Teacher]:
    """Build the further teachers of an ensemble.

    Args:
        parts: For each its `module`, `padding`, `use_udp`, `keypoints` and `name`, see
            `HeatmapFusionTTA`.
        running: How their networks run.

    Raises:
        ConfigError: If a setting is invalid, or a head cannot be fused; it names the
            teacher.
    """
    teachers = []
    for name, part in zip(names_of(parts), parts, strict=True):
        with _errors_of(name):
            teachers.append(_build_teacher(part, running))
    return teachers


def _build_teacher(part: Mapping[str, Any], running: Running) -> Teacher:
    padding = part.get('padding', DEFAULT_PADDING)
    check_fusion('mean', padding, None)
    module = ordered_module(part['module'])
    if isinstance(module, dict):
        module = MODELS.build(module)
    keypoints = part.get('keypoints')
    return Teacher(module.eval(), padding, part.get('use_udp'), running, keypoints)


def check_ensemble(
    teachers: Sequence[Teacher],
    names: Sequence[str],
    views: Sequence[View],
    fusion: str,
) -> None:
    """Check that views of teachers can be fused, and their outputs with each other.

    Args:
        teachers: The teachers.
        names: Names of the teachers after the first, as an error calls them.
        views: The views.
        fusion: 'mean' or 'max'.

    Raises:
        ConfigError: If they cannot; it names the one that differs from the first.
    """
    first, *others = teachers
    first.adapter.check(views, fusion)
    for name, other in zip(names, others, strict=True):
        with _errors_of(name):
            other.adapter.check(views, fusion)
            if first.num_keypoints != other.num_keypoints:
                raise ConfigError(
                    'teachers of an ensemble must return the same keypoints, got '
                    f'{first.num_keypoints} and {other.num_keypoints}'
                )
            first.adapter.check_partner(other.adapter, first.shows_same(other))


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Name the teacher that an error is about."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f'{name}: {error}') from error


def fit_together(teachers: Sequence[Teacher], device: torch.device) -> bool:
    """Whether all teachers fit into half of the free memory of a device.

    Args:
        teachers: The teachers.
        device: The device; the memory of a CPU is that of the process anyway.
    """
    if device.type != 'cuda' or len(teachers) < 2:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    elsewhere = (teacher.num_bytes for teacher in teachers if teacher.device != device)
    return sum(elsewhere) <= free / 2


@contextmanager
def on_device(teacher: Teacher, device: torch.device, offload: bool) -> Iterator[None]:
    """Move a teacher to a device, and back to the CPU where it only takes its turn.

    Args:
        teacher: The teacher.
        device: The device.
        offload: Whether it is moved back.
    """
    if teacher.device != device:
        teacher.module.to(device)
        teacher.network.refresh_if_changed()
    try:
        yield
    finally:
        if offload:
            teacher.module.to('cpu')
            # What was prepared of its weights stays no longer either.
            teacher.network.refresh_if_changed()
