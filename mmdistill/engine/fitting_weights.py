"""Weights that fit their model wholly, or are refused.

MMEngine only warns when keys are missing, and goes on with random weights.
"""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from mmdistill.errors import UserError


def load_fitting(model: nn.Module, checkpoint: Any, role: str = 'teacher') -> None:
    """Load a checkpoint into its model, and refuse one that does not fit.

    Args:
        model: The model.
        checkpoint: What was read of its file.
        role: What the model is, as the section of `distill` that names it.

    Raises:
        UserError: If a key is missing, unknown or of another shape.
    """
    weights = checkpoint
    if isinstance(checkpoint, dict):
        weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict):
        raise UserError(
            f'a {role} checkpoint must hold weights by name, got a '
            f'{type(weights).__name__}'
        )
    state_dict = {
        re.sub(r'^module\.', '', key): value for key, value in weights.items()
    }
    try:
        # The model's own hooks rename what older versions saved.
        result = model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        raise UserError(
            f'the {role} checkpoint does not fit its model: {_first_misfit(error)}'
        ) from error
    wrong = {
        'misses': [k for k in result.missing_keys if 'num_batches' not in k],
        'has unknown': result.unexpected_keys,
    }
    for what, keys in wrong.items():
        if keys:
            raise UserError(
                f'the {role} checkpoint {what} {len(keys)} of the keys of its '
                f'model {type(model).__name__}, the first is {keys[0]}; '
                f'give the config it was trained with in distill.{role}.config'
            )


def _first_misfit(error: RuntimeError) -> str:
    """The first key of torch's list of misfits, which can be hundreds long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].split('", ')[0]
