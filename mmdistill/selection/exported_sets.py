"""Categories and image ids that an export adopts from the sets of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdistill.config.schema import UnlabeledConfig, is_type
from mmdistill.errors import DataError
from mmdistill.utils.files import read_json


def labeled_categories(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read the categories of a labeled set.

    Args:
        members: Configs of its member data sets.

    Returns:
        The categories ordered by id, as in the jsons; empty where the set is not in
        COCO's format, or its members name an id differently.

    >>> [c['name'] for c in labeled_categories([dict(ann_file='labeled.json')])]
    ['person']
    """
    categories: dict[int, dict[str, Any]] = {}
    for member in members:
        for category in _categories(member):
            known = categories.setdefault(category['id'], category)
            if known['name'] != category['name']:
                return []
    return [categories[number] for number in sorted(categories)]


def lists_images(unlabeled: UnlabeledConfig) -> bool:
    """Whether a COCO json lists unlabeled images, and so gives them ids.

    Args:
        unlabeled: The unlabeled set.

    >>> lists_images(UnlabeledConfig(ann_file='unlabeled.json'))
    True
    """
    sources = unlabeled.sources or ()
    return bool(unlabeled.ann_file) or any(
        is_type(source, 'CocoSource') for source in sources
    )


def _categories(member: Mapping[str, Any]) -> list[dict[str, Any]]:
    path = Path(str(member.get('data_root') or ''), str(member.get('ann_file') or ''))
    if path.suffix != '.json':
        return []
    try:
        content = read_json(path, 'the labeled set')
    except DataError:
        return []
    listed = content.get('categories') if isinstance(content, dict) else None
    return [
        entry
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict)
        and isinstance(entry.get('id'), int)
        and isinstance(entry.get('name'), str)
    ]
