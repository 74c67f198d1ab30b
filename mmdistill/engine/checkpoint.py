"""Loading checkpoints as data: weights and MMEngine's own records, nothing else.

A pickle can run any code. torch reads checkpoints with ``weights_only=True``, which
refuses what is not on a list; MMEngine's checkpoints hold a few harmless objects
beside weights, and these are the list, also where torch takes none. The loaders
replace MMEngine's in its `CheckpointLoader`, a registry made for that, so that
`load_from`, `resume` and `init_cfg` all go through them.

Weights must fit their model completely: MMEngine only warns about missing keys and
continues with random weights. Entries beside the weights of the model (averages of a
training, counters of a profiler, the prefix of a wrapper) are left out, with one log
line. Further layers in the model's own modules mean another network and are refused.
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

from mmdistill.engine.plain_pickle import downloaded, read_plain
from mmdistill.errors import CheckpointError
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.torch_version import is_full

DTYPES = (
    *('bool', 'uint8', 'int16', 'int32', 'int64'),
    *('uint32', 'uint64', 'float16', 'float32', 'float64'),
)

MODEL_LISTS = {
    ('modelzoo://', 'torchvision://'): get_torchvision_models,
    ('open-mmlab://', 'openmmlab://'): get_external_models,
    ('mmcls://',): get_mmcls_models,
}
"""MMEngine's lists of addresses by model name, keyed by the prefixes they serve."""

# Errors of torch for files that are not checkpoints.
UNREADABLE_ERRORS = (
    *(pickle.UnpicklingError, EOFError, RuntimeError),
    *(KeyError, IndexError, OSError, UnicodeDecodeError),
)
REFUSED_OBJECT = re.compile(r'GLOBAL (.+?) (?:was not|whose module|is no statistic)')
"""Name of the object that torch's unpickler or ours refuses."""


def load_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint from a local file.

    Args:
        filename: Path of the file.
        map_location: Where tensors go, as in `torch.load`.

    Raises:
        UserError: If there is no such file, or it holds objects that are not on
            the list, naming them.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise CheckpointError(f'the checkpoint {path} does not exist')

    def load() -> Any:
        if not is_full():
            return read_plain(path, map_location, _allowed())
        with torch.serialization.safe_globals(list(_allowed())):
            return torch.load(path, map_location=map_location, weights_only=True)

    return _load(str(path), load)


def load_url(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint, once per machine, and load it.

    Args:
        filename: Its address.
        map_location: Where tensors go, as in `torch.load`.

    Raises:
        UserError: If it holds objects that are not on the list, naming them.
    """

    def load() -> Any:
        if not is_full():
            return read_plain(downloaded(filename), map_location, _allowed())
        with torch.serialization.safe_globals(list(_allowed())):
            return load_state_dict_from_url(
                filename, map_location=map_location, weights_only=True
            )

    loaded: list[Any] = []
    # The other ranks wait for the file, and get the same error if there is none.
    run_on_rank_zero(lambda: loaded.append(_load(filename, load)))
    return loaded[0] if loaded else _load(filename, load)


def address_of(checkpoint: str) -> str | None:
    """Return the address a checkpoint is downloaded from; None for local files.

    Args:
        checkpoint: A file, an address, or a name such as 'torchvision://resnet50'.

    Raises:
        UserError: If it is a name that its list does not have.
    """
    if checkpoint.startswith(('http://', 'https://')):
        return checkpoint
    for prefixes, models in MODEL_LISTS.items():
        if checkpoint.startswith(prefixes):
            return _listed_address(checkpoint, models)
    return None


def _listed_address(checkpoint: str, models: Callable[[], dict[str, str]]) -> str:
    name = checkpoint.split('://', 1)[1]
    known = models()
    if name not in known:
        raise CheckpointError(f'{checkpoint} is not in the list of known models')
    return known[name]


def _listed_model_loader(models: Callable[[], dict[str, str]]) -> Callable[..., Any]:
    """Make a loader for the models of a list."""

    def load_named(filename: str, map_location: Any = None) -> Any:
        return load_url(_listed_address(filename, models), map_location)

    return load_named


def _load(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UNREADABLE_ERRORS as error:
        # torch wraps the refusal in a long message; a user needs only the line that
        # names the object.
        refused = REFUSED_OBJECT.search(str(error))
        if refused is None:
            raise CheckpointError(
                f'{name} cannot be read as a checkpoint: {_reason(error)}'
            ) from error
        raise CheckpointError(
            f'the checkpoint {name} holds {refused[1]}, which is neither weights '
            "nor a record of MMEngine's, and is not loaded; save its state_dict "
            'alone'
        ) from None


def _reason(error: Exception) -> str:
    """Return torch's message without its advice to switch the check off."""
    message = str(error)
    message = message.partition('WeightsUnpickler error:')[2] or message
    return (message.strip().splitlines() or ['it ends too early'])[0]


def _history_attribute(owner: Any, name: str) -> Any:
    """Replace `getattr`, by which `HistoryBuffer` pickles its statistics."""
    if owner is not HistoryBuffer:
        raise pickle.UnpicklingError(f'GLOBAL {name} of {owner} is no statistic')
    return getattr(HistoryBuffer, name)


def _no_bytes() -> bytes:
    """Replace `bytes`, by which an empty array pickles its data."""
    return b''


def _allowed() -> Iterator[Any]:
    """Iterate over the objects that checkpoints of MMEngine and MMPose hold."""
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
    *(
        (prefixes, _listed_model_loader(models))
        for prefixes, models in MODEL_LISTS.items()
    ),
):
    CheckpointLoader.register_scheme(_prefixes, loader=_loader, force=True)


WEIGHT_KEYS = ('state_dict', 'model_state_dict', 'model', 'ema_state_dict', 'ema')
"""Entries of a checkpoint that may hold its weights, in order of preference."""
WRAPPER_PREFIX = re.compile(r'(?:(?:module|_orig_mod|model)\.)*')
"""Prefixes that wrapping a model puts before its keys."""
MODULES = ('backbone', 'neck', 'head', 'keypoint_head', 'bbox_head', 'rpn_head')
"""Names of the modules of models of MMPose and MMDetection."""
COUNTERS = ('total_ops', 'total_params', 'num_batches_tracked')
"""Counters of profilers and norms, in any module."""
CLASSIFIER = re.compile(r'backbone\.(?:fc|classifier)\.')
"""Layers left from training a backbone as a classifier."""
TESTED = 'tested'
"""Role of a model that is not named by a section of `distill`."""
MAX_KEYS_SHOWN = 3
"""Maximum number of keys named in a message."""

Weights = OrderedDict[str, Tensor]


def load_checkpoint_strict(
    model: nn.Module, checkpoint: Any, role: str = 'teacher'
) -> Weights:
    """Load a checkpoint into its model, or refuse one that does not match it.

    Args:
        model: The model.
        checkpoint: The content of its file.
        role: The section of `distill` that names the model; 'tested' where none
            does.

    Returns:
        The weights of the checkpoint that are the model's, by the model's names.

    Raises:
        UserError: If a weight of the model is missing or of another shape, or the
            checkpoint has further layers in one of the model's modules.
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
        raise CheckpointError(
            f'the {role} checkpoint does not fit its model: {_first_mismatch(error)}; '
            f'{advice}'
        ) from error
    missing = [key for key in result.missing_keys if not _is_counter(key)]
    if missing:
        raise CheckpointError(
            f'the {role} checkpoint misses {len(missing)} of the keys of its model '
            f'{type(model).__name__}, the first is {missing[0]}; '
            f'{_missing_advice(checkpoint, needed, missing, role) or advice}'
        )
    modules = {*MODULES, *(name for name, _ in model.named_children())}
    further = [key for key in result.unexpected_keys if _is_layer(key, modules)]
    if further:
        raise CheckpointError(
            f'the {role} checkpoint has {len(further)} weights that its model '
            f'{type(model).__name__} has not, the first is {further[0]}, so it is of '
            f'another network; {advice}'
        )
    others = [key for key in held if not key.startswith(prefix)]
    _log_ignored_keys([*others, *result.unexpected_keys], prefix, role)
    for key in result.unexpected_keys:
        weights.pop(key, None)
    return weights


def _held_weights(checkpoint: Any, role: str) -> Weights:
    """Collect the tensors of a checkpoint by name, with torch's module versions."""
    weights = checkpoint
    if isinstance(checkpoint, dict):
        key = next((key for key in WEIGHT_KEYS if _holds(checkpoint, key)), None)
        weights = checkpoint if key is None else checkpoint[key]
    if not isinstance(weights, dict):
        raise CheckpointError(
            f'a {role} checkpoint must hold weights by name, got a '
            f'{type(weights).__name__}'
        )
    tensors = ((key, value) for key, value in weights.items() if _is_weight(key, value))
    # torch keeps the versions in an attribute, which weights of other tools lack.
    return _with_versions(OrderedDict(tensors), getattr(weights, '_metadata', None))


def _holds(checkpoint: dict, key: str) -> bool:
    # Except for state_dict, an entry of this name may be a module of the model.
    return (key == 'state_dict' and key in checkpoint) or isinstance(
        checkpoint.get(key), dict
    )


def _is_weight(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _with_versions(weights: Weights, versions: Any) -> Weights:
    """Attach module versions to weights, as the attribute that torch reads."""
    if versions:
        vars(weights)['_metadata'] = versions
    return weights


def _without_prefix(held: Weights, prefix: str) -> Weights:
    kept = OrderedDict(
        (key.removeprefix(prefix), value)
        for key, value in held.items()
        if key.startswith(prefix)
    )
    versions = vars(held).get('_metadata', {})
    return _with_versions(
        kept,
        OrderedDict(
            (f'{module}.'.removeprefix(prefix).rstrip('.'), version)
            for module, version in versions.items()
            if f'{module}.'.startswith(prefix)
        ),
    )


def _prefix(held: Weights, needed: Sequence[str], role: str) -> str:
    """Find the prefix of the model's weights in a checkpoint.

    A prefix under which all weights are present; the shortest one of a wrapper wins.
    """
    first = needed[0] if needed else ''
    prefixes = dict.fromkeys(
        key.removesuffix(first)
        for key in held
        if key == first or key.endswith(f'.{first}')
    )
    complete = [p for p in prefixes if all(p + key in held for key in needed)]
    plain = sorted((p for p in complete if WRAPPER_PREFIX.fullmatch(p)), key=len)
    if plain:
        return plain[0]
    if len(complete) > 1:
        raise CheckpointError(
            f'the {role} checkpoint holds {len(complete)} whole models, below '
            f'{", ".join(complete)}; save the weights of one of them'
        )
    if complete:
        return complete[0]
    # Names of older versions, or missing weights: a wrapper common to all keys.
    wrapped = {WRAPPER_PREFIX.match(key)[0] for key in held}  # type: ignore[index]
    return wrapped.pop() if len(wrapped) == 1 else ''


def _is_counter(key: str) -> bool:
    return key.rpartition('.')[2] in COUNTERS


def _is_layer(key: str, modules: set[str]) -> bool:
    """Whether an unexpected key is a layer of one of the model's modules."""
    module = key.partition('.')[0]
    # Means and deviations of the input are the config's.
    ignored = module == 'data_preprocessor' or CLASSIFIER.match(key) or _is_counter(key)
    return module in modules and not ignored


def _missing_advice(
    checkpoint: Any, needed: Sequence[str], missing: Sequence[str], role: str
) -> str:
    """Advice for missing keys that another config would not fix, else empty."""
    if len(missing) == len(needed):
        entries = [str(key) for key in checkpoint][:MAX_KEYS_SHOWN]
        if not any('.' in entry for entry in entries):
            content = f'it holds {", ".join(entries)}' if entries else 'it is empty'
            return f'{content}: save its weights by name as state_dict'
        return ''
    missing_modules, present_modules = (
        {key.partition('.')[0] for key in keys}
        for keys in (missing, set(needed) - set(missing))
    )
    if missing_modules.isdisjoint(present_modules) and missing_modules <= set(MODULES):
        option = 'this test' if role == TESTED else f'distill.{role}.checkpoint'
        return (
            f'it has nothing of the {", ".join(sorted(missing_modules))}: train the '
            f'whole model and give {option} what that leaves'
        )
    return ''


def _log_ignored_keys(keys: Sequence[str], prefix: str, role: str) -> None:
    if keys:
        shown = ', '.join(keys[:MAX_KEYS_SHOWN]) + (
            ', …' if len(keys) > MAX_KEYS_SHOWN else ''
        )
        below = f' below {prefix}' if prefix else ''
        print_log(
            f'the {role} checkpoint has every weight of its model{below}; {len(keys)} '
            f'others are left out: {shown}',
            logger='current',
        )


def _first_mismatch(error: RuntimeError) -> str:
    """Return the first entry of torch's list of mismatches, which can be long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].split('", ')[0].rstrip('.')
