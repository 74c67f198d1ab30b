"""Loading checkpoints as data: weights and MMEngine's own records, nothing else.

A pickle can run any code. torch reads checkpoints with ``weights_only=True``, which
refuses what is not on a list; MMEngine's checkpoints hold a few harmless objects
beside weights, and these are the list. The loaders take the place of MMEngine's in
its `CheckpointLoader`, a registry made for that, so that `load_from`, `resume` and
`init_cfg` all go through them.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch.hub import load_state_dict_from_url
from torch.serialization import safe_globals

from mmdistill.errors import UserError
from mmdistill.ranks import tell_all

DTYPES = (
    *('bool', 'uint8', 'int16', 'int32', 'int64'),
    *('uint32', 'uint64', 'float16', 'float32', 'float64'),
)

LISTS = {
    ('modelzoo://', 'torchvision://'): get_torchvision_models,
    ('open-mmlab://', 'openmmlab://'): get_external_models,
    ('mmcls://',): get_mmcls_models,
}
"""Lists of MMEngine's that give the address of a model's name, by their prefixes."""

# What torch raises at files that are no checkpoints, by where it stumbles.
UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, RuntimeError),
    *(KeyError, IndexError, OSError, UnicodeDecodeError),
)
REFUSED = re.compile(r'GLOBAL (.+?) (?:was not|whose module|is no statistic)')
"""How torch's unpickler and ours name the object that they refuse."""


def load_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file of this machine.

    Args:
        filename: Path of the file.
        map_location: Where tensors go, as in `torch.load`.

    Raises:
        UserError: If there is no such file, or it holds objects that are not on
            the list, naming them.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise UserError(f'the checkpoint {path} does not exist')
    return _load(
        str(path),
        lambda: torch.load(path, map_location=map_location, weights_only=True),
    )


def load_url(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint, once per machine, and load it.

    Args:
        filename: Its address.
        map_location: Where tensors go, as in `torch.load`.

    Raises:
        UserError: If it holds objects that are not on the list, naming them.
    """

    def load() -> Any:
        return load_state_dict_from_url(
            filename, map_location=map_location, weights_only=True
        )

    loaded: list[Any] = []
    # The others wait for the file, and hear why there is none.
    tell_all(lambda: loaded.append(_load(filename, load)))
    return loaded[0] if loaded else _load(filename, load)


def address_of(checkpoint: str) -> str | None:
    """The address that a checkpoint is downloaded from; None where it is not.

    Args:
        checkpoint: A file, an address, or a name such as 'torchvision://resnet50'.

    Raises:
        UserError: If it is a name that its list does not have.
    """
    if checkpoint.startswith(('http://', 'https://')):
        return checkpoint
    for prefixes, models in LISTS.items():
        if checkpoint.startswith(prefixes):
            return _named(checkpoint, models)
    return None


def _named(checkpoint: str, models: Callable[[], dict[str, str]]) -> str:
    name = checkpoint.split('://', 1)[1]
    known = models()
    if name not in known:
        raise UserError(f'{checkpoint} is not in the list of known models')
    return known[name]


def _by_name(models: Callable[[], dict[str, str]]) -> Callable[..., Any]:
    """A loader of models that a list names."""

    def load_named(filename: str, map_location: Any = None) -> Any:
        return load_url(_named(filename, models), map_location)

    return load_named


def _load(name: str, load: Callable[[], Any]) -> Any:
    with safe_globals(list(_allowed())):
        try:
            return load()
        except UNREADABLE as error:
            # torch wraps what the unpickler refuses in its own long message; the
            # one line that names the object is what a user needs.
            refused = REFUSED.search(str(error))
            if refused is None:
                raise UserError(
                    f'{name} can not be read as a checkpoint: {_reason(error)}'
                ) from error
            raise UserError(
                f'the checkpoint {name} holds {refused[1]}, which is neither weights '
                "nor a record of MMEngine's, and is not loaded; save its state_dict "
                'alone'
            ) from None


def _reason(error: Exception) -> str:
    """What torch says, without its advice to switch the check off."""
    message = str(error)
    message = message.partition('WeightsUnpickler error:')[2] or message
    return (message.strip().splitlines() or ['it ends too early'])[0]


def _history_attribute(owner: Any, name: str) -> Any:
    """Stand-in for `getattr`, which `HistoryBuffer` pickles its statistics by."""
    if owner is not HistoryBuffer:
        raise pickle.UnpicklingError(f'GLOBAL {name} of {owner} is no statistic')
    return getattr(HistoryBuffer, name)


def _no_bytes() -> bytes:
    """Stand-in for `bytes`, which an array without elements pickles its data by."""
    return b''


def _allowed() -> Iterator[Any]:
    """What a checkpoint of MMEngine and MMPose holds beside weights."""
    yield HistoryBuffer
    yield (_history_attribute, 'builtins.getattr')
    yield (_no_bytes, 'builtins.bytes')
    yield np.ndarray
    yield np.dtype
    multiarray: Any = np.core.multiarray
    # numpy 2 renamed the module; files of both names exist.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        yield (multiarray._reconstruct, f'{module}._reconstruct')
        yield (multiarray.scalar, f'{module}.scalar')
    for name in DTYPES:
        yield type(np.dtype(name))


for _prefixes, _loader in (
    ('', load_local),
    (('http://', 'https://'), load_url),
    *((prefixes, _by_name(models)) for prefixes, models in LISTS.items()),
):
    CheckpointLoader.register_scheme(_prefixes, loader=_loader, force=True)
