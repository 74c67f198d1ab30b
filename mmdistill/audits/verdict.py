"""The verdict of an audit: the noise to expect of the labels, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdistill.audits.matched import SHOWN_OKS, name_of
from mmdistill.labels.selection_options import COMPARED
from mmdistill.labels.thresholds import described_range


def verdict(matched: Mapping[str, Any], given_boxes: bool) -> str:
    """The noise to expect of the labels, in one sentence.

    Args:
        matched: What `matched_content` says.
        given_boxes: Whether the boxes were the true ones.
    """
    start = _start(matched)
    precision = matched['precision'][name_of(SHOWN_OKS[0])]
    if precision is None:
        return f'{start} no candidate on the audited images would be a pseudo-label.'
    about = 'at least about' if given_boxes else 'about'
    sentence = (
        f'{start} {about} {1 - precision:.0%} of the pseudo-labelled instances are '
        f'wrong (OKS below {SHOWN_OKS[0]}; {matched["kept"]} were looked at)'
    )
    error = matched['error']
    if error['mean'] is not None:
        sentence += (
            f" and a visible keypoint is off by {error['mean']:.3f} of the instance's "
            f'size on average (median {error["median"]:.3f})'
        )
    sentence += _by_source(matched)
    if given_boxes:
        sentence += (
            '; this is in true boxes with score 1: false, rough and missed detections '
            'come on top, and scores are higher than with detections; audit those of '
            'these images (--bbox-file) to count them too'
        )
    return f'{sentence}.'


def _start(matched: Mapping[str, Any]) -> str:
    how = 'matched' if matched['rule'] == 'count' else 'given'
    several = 's' if len(matched['score_thrs']) > 1 else ''
    what = '' if matched['by'] == COMPARED['score'] else f' of the {matched["by"]}'
    thresholds = described_range(matched['score_thrs'], 3)
    return f'At the {how} threshold{several} {thresholds}{what}'


def _by_source(matched: Mapping[str, Any]) -> str:
    """How the audited images, which are of no source, stand for several."""
    names = dict.fromkeys(part['source'] for part in matched['parts'])
    if None in names:
        return ''
    return (
        f'; the audited images are of none of the {len(names)} sources, so each '
        "source's threshold was tried on all of them, and counts by its labels in "
        'the pile'
    )
