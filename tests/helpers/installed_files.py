"""Configs that no test changes are parsed once a session: most tests read some."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmpose
import pytest
from mmengine.config import Config, config, utils

UNCHANGING = (
    Path(mmpose.__file__).parent / '.mim',
    Path(__file__).parents[2] / 'configs',
)


def is_unchanging(path: Path) -> bool:
    """Whether a file is a config of the installed MMPose or of this repository."""
    return any(path.is_relative_to(root) for root in UNCHANGING)


@pytest.fixture(scope='session', autouse=True)
def parsed_once() -> Iterator[None]:
    """MMEngine's parser remembers what it made of files that do not change.

    Every reader gets a copy of its own. Files elsewhere are parsed each time, and a
    file that fails fails again.
    """
    parse, find_form = Config._file2dict, Config._is_lazy_import
    known_content, known_form = functools.cache(parse), functools.cache(find_form)

    def content(filename: str, *options: Any, **others: Any) -> tuple:
        path = Path(filename).absolute()
        if not is_unchanging(path):
            return parse(filename, *options, **others)
        return copy.deepcopy(known_content(str(path), *options, **others))

    def form(filename: str) -> bool:
        path = Path(filename).absolute()
        return known_form(str(path)) if is_unchanging(path) else find_form(filename)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, '_file2dict', staticmethod(content))
        patch.setattr(Config, '_is_lazy_import', staticmethod(form))
        # The index of MMPose's configs, 150 files for each base of another package.
        patch.setattr(utils, 'load', functools.cache(utils.load))
        patch.setattr(config, 'is_installed', functools.cache(config.is_installed))
        yield
