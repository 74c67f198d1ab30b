"""What produced a label store, written into its manifest."""

from __future__ import annotations

import hashlib
from typing import Any

import mmengine
import mmpose
import torch
from torch import nn

import mmdistill
from mmdistill.functional.rounding import STEPS_OF_SCORE, STEPS_PER_PIXEL

VERSIONS = {
    'mmdistill': mmdistill.__version__,
    'mmengine': mmengine.__version__,
    'torch': torch.__version__,
}
"""Of what every stage runs on."""


def weights_sha256(module: nn.Module) -> str:
    """Hash of a model's weights as they are in memory, wherever they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f'{name} {tuple(array.shape)} {array.dtype}'.encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def make_manifest(
    model: Any,
    dataset: Any,
    chunk_size: int,
    score_floor: float,
    nms_thr: float,
    checkpoint: str,
) -> dict[str, Any]:
    """Everything that decides what a store holds, as JSON values.

    `about` names paths, which may move; the rest must agree for a run to be
    continued. The store itself adds the images and their boxes.

    Args:
        model: The fusing wrapper, its `module` the teacher with its weights.
        dataset: The unlabelled images.
        chunk_size: Images in a chunk.
        score_floor: Instance score below which nothing is stored.
        nms_thr: OKS above which of two candidates only the better is stored.
        checkpoint: Where the teacher's weights came from.
    """
    return {
        'about': {**dataset.about(), 'checkpoint': checkpoint},
        'teacher': {
            'architecture': hashlib.sha256(repr(model.module).encode()).hexdigest(),
            'weights': weights_sha256(model.module),
        },
        'views': model.provenance(),
        **dataset.provenance(),
        'chunk_size': chunk_size,
        'score_floor': score_floor,
        'nms_thr': nms_thr,
        'steps': {'pixel': STEPS_PER_PIXEL, 'score': STEPS_OF_SCORE},
        'versions': {**VERSIONS, 'mmpose': mmpose.__version__},
    }
