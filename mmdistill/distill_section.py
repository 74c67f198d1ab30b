"""The `distill` section of a config: what it may state, read before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.boxes_configs import check_boxes
from mmdistill.errors import UserError
from mmdistill.section_values import check_values

REQUIRED = ('teacher', 'unlabeled', 'labels')
OPTIONAL = (
    *('views', 'labeling', 'counting', 'labeled'),
    *('mixing', 'schedule', 'audit', 'leak_guard', 'detector'),
)
PARTS = {
    'teacher': ('checkpoint', 'config'),
    'unlabeled': (
        *('data_root', 'data_prefix', 'ann_file', 'bbox_file', 'category_ids'),
        *('max_pixels', 'sources', 'detections', 'follow'),
    ),
    'views': (
        *('scales', 'flip', 'aspect_ratios', 'rotations', 'fusion'),
        *('size_dependent', 'small_area', 'large_area'),
        *('forward_batch_size', 'channels_last', 'fold_batch_norm'),
        *('precision', 'compile'),
    ),
    'labeling': (
        *('batch_size', 'num_workers', 'chunk_size', 'score_floor', 'nms_thr'),
        'max_failures',
    ),
    'counting': (
        *('over', 'per', 'categories', 'by', 'floor', 'cap'),
        *('keypoint_thr', 'score_thr'),
    ),
    'detector': (
        *('config', 'checkpoint', 'categories', 'score_thr', 'nms_thr', 'tta'),
        *('boxes', 'batch_size', 'num_workers', 'chunk_size'),
    ),
    'mixing': ('labeled_share', 'pseudo_weight', 'score_thr', 'keypoint_thr'),
    'schedule': ('max_factor', 'milestones'),
    'audit': ('data_root', 'data_prefix', 'ann_file', 'bbox_file'),
}
"""What each part of the `distill` section may state."""


def distill_section(config: Config) -> Any:
    """The `distill` section of a config.

    Args:
        config: The user's config.

    Raises:
        UserError: If there is none, it lacks what has no default, or states what
            can not be.
    """
    if 'distill' not in config:
        raise UserError(
            f'{config.filename} has no distill section, which names the teacher, the '
            'unlabelled images and the label store'
        )
    for key in REQUIRED:
        if config.distill.get(key) is None:
            raise UserError(f'the distill section of {config.filename} has no {key}')
    _check_known('distill', config.distill, (*REQUIRED, *OPTIONAL))
    for key, part in PARTS.items():
        _check_known(f'distill.{key}', config.distill.get(key) or {}, part)
    check_values(config.distill)
    check_boxes(config.distill)
    return config.distill


def check_checkpoint(role: str, part: Mapping[str, Any]) -> None:
    """Make sure that a model's checkpoint is there, before anything is built.

    Args:
        role: What the model is, as the section of `distill` that names it.
        part: That section.

    Raises:
        UserError: If none is named, or there is no such file.
    """
    checkpoint = part.get('checkpoint')
    if not checkpoint:
        raise UserError(f'distill.{role}.checkpoint must name a checkpoint, got none')
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise UserError(
            f'the {role} checkpoint {checkpoint} does not exist; train the {role} '
            f'first, or set distill.{role}.checkpoint'
        )


def _check_known(name: str, section: Any, known: Collection[str]) -> None:
    if not isinstance(section, Mapping):
        raise UserError(f'{name} must be a dict, got {section!r}')
    unknown = sorted(set(section) - set(known))
    if unknown:
        raise UserError(f'{name} has no {unknown[0]}, only {", ".join(known)}')
