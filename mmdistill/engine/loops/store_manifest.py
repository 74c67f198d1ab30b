"""The manifest of a store: everything that determines its rows.

Teacher, views, images, rounding and versions; `mmdistill.store.manifest` reads and
compares what is made here.
"""

from __future__ import annotations

import hashlib
from typing import Any

import mmengine
import mmpose
import torch
from torch import nn

import mmdistill
from mmdistill.functional.quantization import STEPS_OF_SCORE, STEPS_PER_PIXEL

VERSIONS = {
    'mmdistill': mmdistill.__version__,
    'mmengine': mmengine.__version__,
    'torch': torch.__version__,
}
"""Versions recorded in every manifest."""


def weights_sha256(module: nn.Module) -> str:
    """Hash a model's weights in memory, independent of their file.

    Args:
        module: The model, on any device.

    Returns:
        SHA-256 over names, shapes, types and values, hexadecimal.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f'{name} {tuple(array.shape)} {array.dtype}'.encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _provenance(model: Any) -> dict[str, Any]:
    """Hashes of a teacher, and of the further ones of an ensemble."""
    first, *others = (
        {
            'architecture': hashlib.sha256(repr(module).encode()).hexdigest(),
            'weights': weights_sha256(module),
        }
        for module in (model.module, *model.ensemble)
    )
    # Without an ensemble there is no entry, so that older stores can be continued.
    return {**first, 'ensemble': others} if others else first


def make_manifest(
    model: Any,
    dataset: Any,
    chunk_size: int,
    score_floor: float,
    nms_thr: float,
    checkpoint: str,
) -> dict[str, Any]:
    """Collect everything that determines the content of a store, as JSON values.

    `about` names paths, which may move; the rest must be equal for a run to be
    continued. The store itself adds the images and their boxes.

    Args:
        model: The fusing wrapper, its `module` the teacher with its weights.
        dataset: The unlabeled images.
        chunk_size: Images in a chunk.
        score_floor: Instance score below which nothing is stored.
        nms_thr: OKS above which only the better of two candidates is stored.
        checkpoint: Path or address of the teacher's weights.
    """
    return {
        'about': {**dataset.about(), 'checkpoint': checkpoint},
        'teacher': _provenance(model),
        'views': model.provenance(),
        **dataset.provenance(),
        'chunk_size': chunk_size,
        'score_floor': score_floor,
        'nms_thr': nms_thr,
        'steps': {'pixel': STEPS_PER_PIXEL, 'score': STEPS_OF_SCORE},
        'versions': {**VERSIONS, 'mmpose': mmpose.__version__},
    }
