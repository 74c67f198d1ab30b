"""Weights that a student starts from, and whether they can be fetched.

MMEngine fetches them when training begins, which is after the labeling.
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
from mmdistill.errors import UserError

SECONDS_TO_ANSWER = 10.0


@dataclass(frozen=True)
class InitialWeights:
    """Weights that a config names.

    Attributes:
        checkpoint: Their file, address or name, as the config has it.
        key: The setting that names them, from the config's root.
        unset: The option of the command line without which they are not asked for.
    """

    checkpoint: str
    key: str
    unset: str


def initial_weights(config: Config) -> list[InitialWeights]:
    """All weights that a training config starts from.

    Args:
        config: A training config: `load_from`, and `init_cfg` and `pretrained` of any
            part of the model.
    """
    loaded = config.get('load_from')
    return [
        *([InitialWeights(loaded, 'load_from', 'load_from=None')] if loaded else []),
        *_of_model(config.get('model'), 'model'),
    ]


def missing_weights(config: Config) -> list[str]:
    """What cannot be fetched of the weights that a training config starts from.

    Files are looked for, and addresses are asked without a download: what is in
    torch's cache already is not.

    Args:
        config: A training config.

    Returns:
        A sentence each, with the way on.
    """
    return [
        f'the initial weights {weights.checkpoint} of {weights.key}: {problem}'
        for weights in initial_weights(config)
        if (problem := _problem(weights))
    ]


def check_initial_weights(config: Config) -> None:
    """Make sure that a training can start, before anything expensive.

    Args:
        config: A training config.

    Raises:
        UserError: If weights that it starts from cannot be fetched.
    """
    for sentence in missing_weights(config):
        raise UserError(sentence)


def _of_model(part: Any, key: str) -> Iterator[InitialWeights]:
    """Weights that parts of a model name, from the outside in."""
    if isinstance(part, (list, tuple)):
        for index, each in enumerate(part):
            yield from _of_model(each, f'{key}.{index}')
    if not isinstance(part, dict):
        return
    for name, value in part.items():
        inner = f'{key}.{name}'
        if isinstance(value, dict) and is_type(value, 'Pretrained'):
            checkpoint = str(value.get('checkpoint'))
            yield InitialWeights(checkpoint, inner, f'{inner}=None')
        elif name == 'pretrained' and isinstance(value, str):
            yield InitialWeights(value, inner, f'{inner}=None')
        elif name == 'init_cfg' and isinstance(value, (list, tuple)):
            yield from _of_list(value, inner)
        else:
            yield from _of_model(value, inner)


def _of_list(configs: Any, key: str) -> Iterator[InitialWeights]:
    """Weights among several initializations of one part."""
    for index, each in enumerate(configs):
        if isinstance(each, dict) and is_type(each, 'Pretrained'):
            # MMEngine refuses a None in the list, so all of it is unset.
            checkpoint = str(each.get('checkpoint'))
            yield InitialWeights(checkpoint, f'{key}.{index}', f'{key}=None')


def _problem(weights: InitialWeights) -> str | None:
    otherwise = f'start without them with --cfg-options {weights.unset}'
    problem = fetch_problem(weights.checkpoint)
    if problem:
        return f'{problem}, or {otherwise}'
    path = Path(weights.checkpoint).expanduser()
    if '://' in weights.checkpoint or path.is_file():
        return None
    return f'there is no such file; put it there, or {otherwise}'


def fetch_problem(checkpoint: str) -> str | None:
    """Why a checkpoint cannot be downloaded, and where to put it instead.

    Nothing is downloaded: the address is asked, unless torch has the file already.

    Args:
        checkpoint: A file, an address, or a name such as 'torchvision://resnet50'.

    Returns:
        A sentence; None where nothing is to be downloaded or it can be.
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
        with urlopen(request, timeout=SECONDS_TO_ANSWER):
            return None
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, 'reason', error)
        where = '' if address == checkpoint else f'{address} '
        return f'{where}cannot be fetched ({reason}); put the file at {cached}'


def check_fetchable(role: str, checkpoint: str) -> None:
    """Make sure that a model's checkpoint can be downloaded, where it has to be.

    Args:
        role: What the model is, as the section of `distill` that names it.
        checkpoint: A file, an address or a name.

    Raises:
        UserError: If it cannot.
    """
    problem = fetch_problem(checkpoint)
    if problem:
        raise UserError(f'the {role} checkpoint {checkpoint}: {problem}')
