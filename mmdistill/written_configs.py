"""Configs of the stages as files, for MMPose's own tools."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import dump

from mmdistill.config_text import TextConfig
from mmdistill.errors import UserError
from mmdistill.labels.files import write_bytes
from mmdistill.metainfo import loses_order

HOOK = 'mmdistill.ConfigTextHook'
TEXT_KEYS = '.json'
"""Files whose keys are text, as numbers of keypoints are not."""


def write_config(config: Config, path: str | Path) -> None:
    """Write the config of a stage so that it reads back equal, in the same order.

    Where the host would write it out of order again, into its work folder and its
    checkpoints, a hook among `custom_hooks` keeps the order.

    Args:
        config: The config.
        path: The file, ``.py``, or ``.json``, ``.yaml`` and ``.yml`` where these can
            hold it.

    Raises:
        UserError: If the file has another suffix, its form can not hold the config,
            or it can not be written.
    """
    path = Path(path)
    if path.suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise UserError(
            f'a config is written as .py (or .json, .yaml, .yml), got {path}'
        )
    config = TextConfig.of(copy.deepcopy(config))
    if loses_order(config):
        config.custom_hooks = [*(config.get('custom_hooks') or []), dict(type=HOOK)]
    if path.suffix == '.py':
        text = config.pretty_text
    else:
        settings = config.to_dict()
        numbered = _numbered_part(settings)
        if path.suffix == TEXT_KEYS and numbered is not None:
            raise UserError(
                f'{path} can not hold {numbered}, whose keys are numbers: JSON has '
                'text for keys; write the config as .py'
            )
        text = dump(settings, file_format=path.suffix[1:])
    write_bytes(path, text.encode())


def _numbered_part(value: Any, name: str = 'the config') -> str | None:
    """Name of the first dict within settings with keys that are no text."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            return name
        items: Any = value.items()
    elif isinstance(value, (list, tuple)):
        items = ((name, item) for item in value)
    else:
        return None
    found = (_numbered_part(item, key) for key, item in items)
    return next((each for each in found if each is not None), None)
