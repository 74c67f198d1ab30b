"""Whether and how boxes are fitted around poses: by the option, the store, the set.

Which part of its box a pose fills, in the labeled set and in what was labeled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from mmengine.logging import print_log

from mmdistill.errors import UserError
from mmdistill.functional.box_fit import BoxFit, PoseFill, fit_like, measure_fill
from mmdistill.store import Candidates, LabelStore
from mmdistill.store.schema import table_to_labels
from mmdistill.utils.dataset_members import Member, members_of

LEAST_OVERLAP = 0.6
"""Overlap below which boxes of a labeled set say nothing of where a pose is in them."""


@dataclass(frozen=True)
class RefitOption:
    """The option `distill.labeling.refit_boxes`.

    Attributes:
        on: Whether boxes are fitted around the poses of a first look.
        stated: Whether the config states it. If it does not, a store goes on as it was
            begun, and boxes are not fitted where those of the labeled set do not
            follow their poses.
    """

    on: bool
    stated: bool = True


def settle_fit(
    option: RefitOption, labeled: PoseFill | None, store: LabelStore
) -> BoxFit | None:
    """Decide how boxes are fitted, and log it.

    A store keeps the margins that it was begun with, so that it can be continued when
    the labeled set has changed.

    Args:
        option: Whether they are.
        labeled: The fill of the labeled set; None where it cannot be measured.
        store: The store that is begun or continued.

    Returns:
        The fit; None where boxes stay as they are.

    Raises:
        UserError: If the store's manifest is damaged.
    """
    held = held_fit(store) if store.exists else None
    if held is not None and (option.on or not option.stated):
        _log_fit(held, f'as {store.root} was begun')
        return held
    if not option.on:
        return None
    if store.exists and not option.stated:
        print_log(
            f'the label store {store.root} was begun without boxes fitted around poses '
            'and goes on so; label into another folder to have them fitted',
            logger='current',
        )
        return None
    return _fit_of(labeled, option.stated)


def held_fit(store: LabelStore) -> BoxFit | None:
    """How the boxes of a store were fitted.

    Args:
        store: A store that was begun.

    Returns:
        The fit; None if they were not.

    Raises:
        UserError: If its manifest is damaged.
    """
    views = store.manifest.get('views')
    held = views.get('box_fit') if isinstance(views, Mapping) else None
    if held is None:
        return None
    try:
        return BoxFit.of_json(held)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'the manifest of {store.root} is damaged: box_fit is {held!r}'
        ) from error


def _fit_of(labeled: PoseFill | None, stated: bool) -> BoxFit | None:
    """The fit with the labeled set's margins, where they say something."""
    if labeled is None:
        print_log(
            'boxes are not fitted around poses: no labeled sample has a box and two '
            'keypoints to take margins from',
            logger='current',
            level=logging.WARNING,
        )
        return None
    if labeled.overlap < LEAST_OVERLAP and not stated:
        print_log(
            'boxes are not fitted around poses: those of the labeled set do not follow '
            f'their poses either (median overlap {labeled.overlap:.2f}); '
            'distill.labeling.refit_boxes=True fits them all the same',
            logger='current',
        )
        return None
    fit = fit_like(labeled)
    _log_fit(fit, 'as in the labeled set')
    return fit


def _log_fit(fit: BoxFit, why: str) -> None:
    margins = ', '.join(f'{100 * margin:.0f} %' for margin in fit.margins)
    print_log(
        'each box is fitted around the pose that a first look finds in it: left, top, '
        f'right and bottom margins of {margins} of the diagonal of the pose, {why} '
        '(distill.labeling.refit_boxes)',
        logger='current',
    )


MOST_SAMPLES = 4096
"""Labeled samples that are measured, evenly spread: medians need no more."""
FEWEST_POSES = 4
"""Poses without which there is nothing to compare."""


@dataclass(frozen=True)
class Comparison:
    """What a comparison of boxes on both sides says.

    Attributes:
        sentence: In words.
        differs: Whether the boxes are unlike each other.
    """

    sentence: str
    differs: bool

    @property
    def level(self) -> int:
        """Level of the logging at which it is said."""
        return logging.WARNING if self.differs else logging.INFO


def labeled_fill(dataset: Any) -> PoseFill | None:
    """Measure the boxes of a labeled set as training sees them.

    Args:
        dataset: A data set of MMPose, of one sample per instance, or several such in
            one; of their pipelines only the keypoint converters count.

    Returns:
        The medians; None where no sample can be measured.
    """
    samples = _spread(members_of(dataset))
    rows = [_boxed(sample) for sample in samples if sample.get('bbox') is not None]
    if not rows:
        return None
    bboxes, keypoints, visible = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    return measure_fill(bboxes, keypoints, visible)


def candidates_fill(
    candidates: Sequence[Candidates], labeled: PoseFill
) -> PoseFill | None:
    """Measure the boxes of candidates by their confident keypoints.

    Args:
        candidates: Those of some images.
        labeled: The fill of the labeled set, for the usual number of keypoints.

    Returns:
        The medians; None where too few poses can be measured.
    """
    if not candidates:
        return None
    scores = np.concatenate([each.keypoint_scores for each in candidates])
    fill = measure_fill(
        np.concatenate([each.bboxes for each in candidates]),
        np.concatenate([each.keypoints for each in candidates]),
        scores > BoxFit.score_thr,
        labeled.keypoints,
    )
    return fill if fill and fill.poses >= FEWEST_POSES else None


def stored_candidates(store: LabelStore, chunks: Sequence[int]) -> Candidates:
    """Candidates of some chunks.

    Args:
        store: The store; it has these chunks.
        chunks: Their numbers, at least one.
    """
    tables = pa.concat_tables(store.scan(chunks=chunks))
    return table_to_labels(tables, store.num_keypoints).candidates


def compare_fills(labeled: PoseFill, found: PoseFill, fitted: bool) -> Comparison:
    """Say whether poses fill their boxes alike on both sides.

    Args:
        labeled: The fill of the labeled set.
        found: That of the candidates.
        fitted: Whether their boxes were fitted around poses.
    """
    both = (
        f'in the labeled set a pose fills {_shares(labeled)} of its box, in the '
        f'unlabeled images {_shares(found)} (width x height, medians of '
        f'{labeled.poses} and {found.poses} poses)'
    )
    if not found.differs_from(labeled):
        return Comparison(both, differs=False)
    give = (
        'give boxes like the labeled ones (distill.unlabeled.bbox_file or a detector)'
    )
    if fitted:
        return Comparison(
            f'{both}, even after boxes were fitted around the poses of a first look: '
            f'the teacher errs more in boxes unlike those it learned; {give}',
            differs=True,
        )
    return Comparison(
        f'{both}: the teacher errs more in boxes unlike those it learned; set '
        'distill.labeling.refit_boxes=True to label in boxes fitted around the poses '
        f'of a first look, or {give}',
        differs=True,
    )


def _spread(members: Sequence[Member]) -> Iterator[Mapping[str, Any]]:
    """Samples evenly spread over all members, in the keypoints of the whole."""
    ends = np.cumsum([len(member.dataset) for member in members])
    total = int(ends[-1]) if len(ends) else 0
    for place in np.linspace(0, total - 1, min(total, MOST_SAMPLES)).astype(int):
        owner = int(np.searchsorted(ends, place, side='right'))
        member = members[owner]
        first = int(ends[owner]) - len(member.dataset)
        info = member.dataset.get_data_info(int(place) - first)
        # The host's converters take a key for a value.
        sample = {key: value for key, value in info.items() if value is not None}
        for converter in member.converters:
            sample = converter.transform(sample)
        yield sample


def _shares(fill: PoseFill) -> str:
    return f'{100 * fill.width:.0f} % x {100 * fill.height:.0f} %'


def _boxed(sample: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Box (4,), keypoints (K, 2) and which of them are annotated (K,) of a sample."""
    keypoints = np.asarray(sample['keypoints'], dtype=np.float64)[0, :, :2]
    visible = np.asarray(sample['keypoints_visible'])
    # Some sets give a weight beside each visibility.
    visible = visible[..., 0] if visible.ndim > 2 else visible
    box = np.asarray(sample['bbox'], dtype=np.float64).reshape(-1)[:4]
    return box, keypoints, visible.reshape(-1) > 0
