"""Categories of a COCO json: which of them have the keypoints of a config.

A project of a labeling tool often has several categories, each with a skeleton of its
own. Where one of them is that of the config, instances of the others are left out;
otherwise the points of a tail would be trained as those of a wrist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdistill.datasets.coco.keypoint_names import compare_names, same_names
from mmdistill.errors import DataError

LABEL_STUDIO = 'Label Studio'
OWN_JSON = (
    "export the project as JSON, Label Studio's own form, and convert it with "
    'tools/import_labels.py'
)


def check_categories(
    path: Path, content: Mapping[str, Any], expected: Sequence[str]
) -> tuple[frozenset[int], list[str]]:
    """Compare the keypoint names of all categories with the config's.

    Args:
        path: The json, for messages.
        content: Its content, with ids that are numbers.
        expected: Keypoint names of the config, in order, (K,).

    Returns:
        Ids of the categories whose instances have other keypoints than the config,
        and sentences about names that may be wrong.

    Raises:
        DataError: If the config's keypoints are in another order.
    """
    categories = content.get('categories') or []
    if (content.get('info') or {}).get('contributor') == LABEL_STUDIO:
        return frozenset(), _check_label_studio(path, categories, expected)
    fitting = [c for c in categories if same_names(c.get('keypoints'), expected)]
    used = {a.get('category_id') for a in content['annotations'] if a.get('keypoints')}
    others, doubts = set(), []
    for category in categories:
        names = category.get('keypoints')
        if category in fitting:
            continue
        if fitting and category['id'] not in used:
            continue
        if fitting and isinstance(names, list) and names:
            if same_names(sorted(map(str, names)), sorted(expected)):
                compare_names(path, names, expected)
            others.add(category['id'])
            continue
        doubts.append(compare_names(path, names, expected))
    return frozenset(others), [doubt for doubt in doubts if doubt]


def _check_label_studio(
    path: Path, categories: Sequence[Mapping[str, Any]], expected: Sequence[str]
) -> list[str]:
    """Check a json that Label Studio converted.

    It writes names in the order of its labels and points in that of `model_index`, and
    all instances of an image as one.
    """
    for category in categories:
        names = category.get('keypoints')
        try:
            doubt = compare_names(path, names, expected)
        except DataError as error:
            raise DataError(
                f'the keypoints of {path} are {names}, those of the config '
                f'{list(expected)}: Label Studio writes names in the order of its '
                'labels and points in that of model_index, so this json cannot tell '
                f'which point is which; {OWN_JSON}'
            ) from error
        if names and not doubt:
            return [
                'Label Studio writes all instances of an image as one here, and points '
                f'in the order of model_index, which need not be that of the names: '
                f'where that matters, {OWN_JSON}'
            ]
        if doubt:
            return [doubt]
    return []
