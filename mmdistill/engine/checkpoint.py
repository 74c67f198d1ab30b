"""Loading checkpoints as data: weights and MMEngine's own records, nothing else.

A pickle can run any code. torch reads checkpoints with ``weights_only=True``, which
refuses what is not on a list; MMEngine's checkpoints hold a few harmless objects
beside weights, and these are the list. The loaders take the place of MMEngine's in
its `CheckpointLoader`, a registry made for that, so that `load_from`, `resume` and
`init_cfg` all go through them.

Weights that fit their model wholly, or are refused.

MMEngine only warns when keys are missing, and goes on with random weights. What a
checkpoint holds beside the weights of its model (averages of a training, counters of
a profiler, the prefix of a wrapper) does no harm and is left out, in one line. More
layers in the model's own parts are no leftover: the network is another one.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch import Tensor, nn
from torch.hub import load_state_dict_from_url
from torch.serialization import safe_globals

from mmdistill.errors import UserError
from mmdistill.utils.dist import run_on_rank_zero

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
    run_on_rank_zero(lambda: loaded.append(_load(filename, load)))
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
                    f'{name} cannot be read as a checkpoint: {_reason(error)}'
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


HOLDERS = ('state_dict', 'model_state_dict', 'model', 'ema_state_dict', 'ema')
"""Entries of a checkpoint that may hold its weights; the first that is there does."""
WRAPPERS = re.compile(r'(?:(?:module|_orig_mod|model)\.)*')
"""Prefixes that wrapping a model puts before its keys."""
PARTS = ('backbone', 'neck', 'head', 'keypoint_head', 'bbox_head', 'rpn_head')
"""Parts that models of MMPose and MMDetection have, this one or others."""
COUNTERS = ('total_ops', 'total_params', 'num_batches_tracked')
"""What profilers and norms count, in any module."""
CLASSIFIER = re.compile(r'backbone\.(?:fc|classifier)\.')
"""What is left of a classification that a backbone was trained with."""
TESTED = 'tested'
"""Role of a model that no section of `distill` names."""
SHOWN = 3
"""Keys that are named at most."""

Weights = OrderedDict[str, Tensor]


def load_checkpoint_strict(
    model: nn.Module, checkpoint: Any, role: str = 'teacher'
) -> Weights:
    """Load a checkpoint into its model, and refuse one that does not fit.

    Args:
        model: The model.
        checkpoint: What was read of its file.
        role: What the model is, as the section of `distill` that names it; 'tested'
            where none does.

    Returns:
        The weights of the checkpoint that are the model's, by the model's names.

    Raises:
        UserError: If a weight of the model is missing or of another shape, or the
            checkpoint has further layers in one of the model's parts.
    """
    held = _held_weights(checkpoint, role)
    needed = [key for key in model.state_dict() if not _is_counter(key)]
    prefix = _prefix(held, needed, role)
    weights = _without_prefix(held, prefix)
    advice = 'give the config it was trained with'
    if role != TESTED:
        advice += f' in distill.{role}.config'
    try:
        # The model's own hooks rename what older versions saved.
        result = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(
            f'the {role} checkpoint does not fit its model: {_first_misfit(error)}; '
            f'{advice}'
        ) from error
    missing = [key for key in result.missing_keys if not _is_counter(key)]
    if missing:
        raise UserError(
            f'the {role} checkpoint misses {len(missing)} of the keys of its model '
            f'{type(model).__name__}, the first is {missing[0]}; '
            f'{_why_missing(checkpoint, needed, missing, role) or advice}'
        )
    parts = {*PARTS, *(name for name, _ in model.named_children())}
    more = [key for key in result.unexpected_keys if _is_layer(key, parts)]
    if more:
        raise UserError(
            f'the {role} checkpoint has {len(more)} weights that its model '
            f'{type(model).__name__} has not, the first is {more[0]}, so it is of '
            f'another network; {advice}'
        )
    others = [key for key in held if not key.startswith(prefix)]
    _log_left_out([*others, *result.unexpected_keys], prefix, role)
    for key in result.unexpected_keys:
        weights.pop(key, None)
    return weights


def _held_weights(checkpoint: Any, role: str) -> Weights:
    """The tensors of a checkpoint by name, with what torch notes of their modules."""
    weights = checkpoint
    if isinstance(checkpoint, dict):
        holder = next((key for key in HOLDERS if _holds(checkpoint, key)), None)
        weights = checkpoint if holder is None else checkpoint[holder]
    if not isinstance(weights, dict):
        raise UserError(
            f'a {role} checkpoint must hold weights by name, got a '
            f'{type(weights).__name__}'
        )
    tensors = ((key, value) for key, value in weights.items() if _is_weight(key, value))
    return _with_notes(OrderedDict(tensors), getattr(weights, '_metadata', None))


def _holds(checkpoint: dict, key: str) -> bool:
    # A name of its own may also be that of a part of a model.
    return (key == 'state_dict' and key in checkpoint) or isinstance(
        checkpoint.get(key), dict
    )


def _is_weight(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _with_notes(weights: Weights, notes: Any) -> Weights:
    """Weights with the versions of their modules, where torch looks for them."""
    if notes:
        vars(weights)['_metadata'] = notes
    return weights


def _without_prefix(held: Weights, prefix: str) -> Weights:
    kept = OrderedDict(
        (key.removeprefix(prefix), value)
        for key, value in held.items()
        if key.startswith(prefix)
    )
    notes = vars(held).get('_metadata', {})
    return _with_notes(
        kept,
        OrderedDict(
            (f'{module}.'.removeprefix(prefix).rstrip('.'), note)
            for module, note in notes.items()
            if f'{module}.'.startswith(prefix)
        ),
    )


def _prefix(held: Weights, needed: Sequence[str], role: str) -> str:
    """What stands before the names of the model's weights.

    The one that makes all of them complete; no prefix where there is a choice.
    """
    first = needed[0] if needed else ''
    prefixes = dict.fromkeys(
        key.removesuffix(first)
        for key in held
        if key == first or key.endswith(f'.{first}')
    )
    complete = [p for p in prefixes if all(p + key in held for key in needed)]
    plain = sorted((p for p in complete if WRAPPERS.fullmatch(p)), key=len)
    if plain:
        return plain[0]
    if len(complete) > 1:
        raise UserError(
            f'the {role} checkpoint holds {len(complete)} whole models, below '
            f'{", ".join(complete)}; save the weights of one of them'
        )
    if complete:
        return complete[0]
    # Names of older versions, or too few: the same wrapper before all of them.
    wrapped = {WRAPPERS.match(key)[0] for key in held}  # type: ignore[index]
    return wrapped.pop() if len(wrapped) == 1 else ''


def _is_counter(key: str) -> bool:
    return key.rpartition('.')[2] in COUNTERS


def _is_layer(key: str, parts: set[str]) -> bool:
    """Whether a key that the model has not is a layer of one of its parts."""
    part = key.partition('.')[0]
    # Means and deviations of the input are the config's.
    beside = part == 'data_preprocessor' or CLASSIFIER.match(key) or _is_counter(key)
    return part in parts and not beside


def _why_missing(
    checkpoint: Any, needed: Sequence[str], missing: Sequence[str], role: str
) -> str:
    """What to do where another config would not help, else nothing."""
    if len(missing) == len(needed):
        entries = [str(key) for key in checkpoint][:SHOWN]
        if not any('.' in entry for entry in entries):
            found = f'it holds {", ".join(entries)}' if entries else 'it is empty'
            return f'{found}: save its weights by name as state_dict'
        return ''
    lost, had = (
        {key.partition('.')[0] for key in keys}
        for keys in (missing, set(needed) - set(missing))
    )
    if lost.isdisjoint(had) and lost <= set(PARTS):
        option = 'this test' if role == TESTED else f'distill.{role}.checkpoint'
        return (
            f'it has nothing of the {", ".join(sorted(lost))}: train the whole model '
            f'and give {option} what that leaves'
        )
    return ''


def _log_left_out(keys: Sequence[str], prefix: str, role: str) -> None:
    if keys:
        shown = ', '.join(keys[:SHOWN]) + (', …' if len(keys) > SHOWN else '')
        below = f' below {prefix}' if prefix else ''
        print_log(
            f'the {role} checkpoint has every weight of its model{below}; {len(keys)} '
            f'others are left out: {shown}',
            logger='current',
        )


def _first_misfit(error: RuntimeError) -> str:
    """The first key of torch's list of misfits, which can be hundreds long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].split('", ')[0].rstrip('.')
