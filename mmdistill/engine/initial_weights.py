"""Initial weights of a training, and a check that they can be fetched.

MMEngine fetches them when training begins, which is after labeling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import torch
from mmengine.config import Config

from mmdistill.config.schema import is_type
from mmdistill.engine.checkpoint import address_of
from mmdistill.errors import CheckpointError

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class InitialWeights:
    """Initial weights named by a config.

    Attributes:
        checkpoint: Their file, address or name, as the config has it.
        key: The setting that names them, from the config's root.
        unset: The command-line option that starts the training without them.
    """

    checkpoint: str
    key: str
    unset: str


def initial_weights(config: Config) -> list[InitialWeights]:
    """List the weights that a training starts from.

    Args:
        config: A training config: `load_from`, and `init_cfg` and `pretrained` of any
            part of the model.
    """
    loaded = config.get('load_from')
    return [
        *([InitialWeights(loaded, 'load_from', 'load_from=None')] if loaded else []),
        *_model_weights(config.get('model'), 'model'),
    ]


def missing_weights(config: Config) -> list[str]:
    """List the initial weights of a training that cannot be fetched.

    Files must exist, and addresses must answer; nothing is downloaded, and weights in
    torch's cache are not asked for.

    Args:
        config: A training config.

    Returns:
        A sentence for each, with what to do.

    Raises:
        CheckpointError: If a name is not in its list of known models.
    """
    return [
        f'the initial weights {weights.checkpoint} of {weights.key}: {problem}'
        for weights in initial_weights(config)
        if (problem := _problem(weights))
    ]


def check_initial_weights(config: Config) -> None:
    """Make sure that the initial weights of a training can be fetched.

    Args:
        config: A training config.

    Raises:
        UserError: If weights that it starts from cannot be fetched.
    """
    for sentence in missing_weights(config):
        raise CheckpointError(sentence)


def _model_weights(module: Any, key: str) -> Iterator[InitialWeights]:
    """Iterate over the weights named within a model, outer modules first."""
    if isinstance(module, (list, tuple)):
        for index, item in enumerate(module):
            yield from _model_weights(item, f'{key}.{index}')
    if not isinstance(module, dict):
        return
    for name, value in module.items():
        inner = f'{key}.{name}'
        if isinstance(value, dict) and is_type(value, 'Pretrained'):
            checkpoint = str(value.get('checkpoint'))
            yield InitialWeights(checkpoint, inner, f'{inner}=None')
        elif name == 'pretrained' and isinstance(value, str):
            yield InitialWeights(value, inner, f'{inner}=None')
        elif name == 'init_cfg' and isinstance(value, (list, tuple)):
            yield from _listed_weights(value, inner)
        else:
            yield from _model_weights(value, inner)


def _listed_weights(configs: Any, key: str) -> Iterator[InitialWeights]:
    """Iterate over the weights among several initializations of one module."""
    for index, init in enumerate(configs):
        if isinstance(init, dict) and is_type(init, 'Pretrained'):
            # MMEngine refuses a None in the list, so all of it is unset.
            checkpoint = str(init.get('checkpoint'))
            yield InitialWeights(checkpoint, f'{key}.{index}', f'{key}=None')


def _problem(weights: InitialWeights) -> str | None:
    alternative = f'start without them with --cfg-options {weights.unset}'
    problem = fetch_problem(weights.checkpoint)
    if problem:
        return f'{problem}, or {alternative}'
    path = Path(weights.checkpoint).expanduser()
    if '://' in weights.checkpoint or path.is_file():
        return None
    return f'there is no such file; put it there, or {alternative}'


def fetch_problem(checkpoint: str) -> str | None:
    """Explain why a checkpoint cannot be downloaded, and where to put it instead.

    Nothing is downloaded: the address is asked, unless torch has the file cached.

    Args:
        checkpoint: A file, an address, or a name such as 'torchvision://resnet50'.

    Returns:
        A sentence; None where the checkpoint is local or can be downloaded.

    Raises:
        CheckpointError: If the name is not in its list of known models.
    """
    address = address_of(checkpoint)
    if address is None:
        return None
    cached = Path(torch.hub.get_dir(), 'checkpoints', Path(address).name)
    if cached.is_file():
        return None
    try:
        # No HEAD: some servers refuse one that would answer a GET.
        request = Request(address, headers={'User-Agent': 'torch.hub'})
        with urlopen(request, timeout=TIMEOUT_SECONDS):
            return None
    except (URLError, OSError, ValueError) as error:
        has_reason = (URLError, UnicodeEncodeError)
        reason = error.reason if isinstance(error, has_reason) else error
        shown = '' if address == checkpoint else f'{address} '
        return f'{shown}cannot be fetched ({reason}); put the file at {cached}'


def check_fetchable(role: str, checkpoint: str) -> None:
    """Make sure that a model's checkpoint can be downloaded, if it is not local.

    Args:
        role: The section of `distill` that names the model.
        checkpoint: A file, an address or a name.

    Raises:
        UserError: If it cannot be downloaded.
    """
    problem = fetch_problem(checkpoint)
    if problem:
        raise CheckpointError(f'the {role} checkpoint {checkpoint}: {problem}')
