"""Reading of checkpoints as data by a torch without a list of allowed objects.

Its ``weights_only=True`` refuses what MMEngine records beside the weights, and cannot
be told otherwise. So it reads with an unpickler that finds nothing but weights and the
objects of a list: whatever else a file names is refused before it is called.
"""

from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import urlparse

import torch
from torch.hub import download_url_to_file, get_dir

Allowed = Any
"""An object, or a pair of it and the name under which a file may call it."""


def read_plain(path: Path, map_location: Any, allowed: Iterable[Allowed]) -> Any:
    """Read a checkpoint of weights and the objects of a list.

    Args:
        path: The file.
        map_location: Where tensors go, as in `torch.load`.
        allowed: The list.

    Raises:
        UnpicklingError: If the file names another object.
    """
    objects = {**weight_objects(), **dict(map(_named, allowed))}

    class Unpickler(PlainUnpickler):
        """Unpickler with the objects of this list."""

        known = objects

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    # torch calls it as the module `pickle`.
    reader = SimpleNamespace(__name__=__name__, Unpickler=Unpickler, load=load)
    return torch.load(
        path, map_location=map_location, pickle_module=reader, weights_only=False
    )


class PlainUnpickler(pickle.Unpickler):
    """Unpickler that finds known objects only."""

    known: ClassVar[dict[str, Any]] = {}
    """Objects by the names under which files call them."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Find an object by its name in a file.

        Args:
            module_name: Its module.
            global_name: Its name there.

        Raises:
            UnpicklingError: If it is not known.
        """
        # torch writes the names of Python 2.
        module_name = IMPORT_MAPPING.get(module_name, module_name)
        name = f'{module_name}.{global_name}'
        if name not in self.known:
            raise pickle.UnpicklingError(f'GLOBAL {name} was not on the list')
        return self.known[name]


def weight_objects() -> dict[str, Any]:
    """Return what torch's own reader of weights allows, by name.

    Bytes, and counters such as the milestones of a `MultiStepLR`, are added: only later
    versions allow them.
    """
    from torch._weights_only_unpickler import _get_allowed_globals

    further = {'_codecs.encode': _encoded, 'collections.Counter': Counter}
    return {**_get_allowed_globals(), **further}


def downloaded(url: str) -> Path:
    """Download a file once, to where torch keeps checkpoints.

    Args:
        url: Its address.

    Returns:
        The file.
    """
    folder = Path(get_dir(), 'checkpoints')
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(urlparse(url).path).name
    if not path.exists():
        download_url_to_file(url, str(path))
    return path


def _encoded(text: str, encoding: str) -> bytes:
    """Replace `_codecs.encode`, by which old pickles hold bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL {encoding} was not on the list')
    return text.encode(encoding)


def _named(allowed: Allowed) -> tuple[str, Any]:
    if isinstance(allowed, tuple):
        return allowed[1], allowed[0]
    return f'{allowed.__module__}.{allowed.__qualname__}', allowed
