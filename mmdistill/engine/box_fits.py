"""Fitting boxes around poses: the decision, and the comparison of both sides.

The option, the store and the labeled set decide whether boxes are fitted and with
which margins. How much of its box a pose fills is measured in the labeled set and on
the candidates of a store, and compared.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from mmengine.logging import print_log

from mmdistill.errors import StoreError
from mmdistill.functional.box_fit import BoxFit, PoseFill, fit_like, measure_fill
from mmdistill.store import Candidates, LabelStore
from mmdistill.store.schema import table_to_labels
from mmdistill.utils.dataset_members import Member, members_of, single_instances
from mmdistill.utils.logging import warn

MIN_OVERLAP = 0.6
"""Median overlap below which labeled boxes do not follow their poses."""
MAX_SAMPLES = 4096
"""Maximum number of labeled samples measured, evenly spread: medians need no more."""
MIN_POSES = 4
"""Minimum number of poses for a comparison."""


@dataclass(frozen=True)
class RefitOption:
    """The option `distill.labeling.refit_boxes`.

    Attributes:
        on: Whether boxes are fitted around the poses of a first pass.
        stated: Whether the config states it. If it does not, a store is continued as
            it was begun, and boxes are not fitted where those of the labeled set do not
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
        option: The option of the config.
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
    """Read from a manifest how the boxes of a store were fitted.

    Args:
        store: A store that was begun.

    Returns:
        The fit; None if they were not fitted.

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
        raise StoreError(
            f'the manifest of {store.root} is damaged: box_fit is {held!r}'
        ) from error


def _fit_of(labeled: PoseFill | None, stated: bool) -> BoxFit | None:
    """Fit with the margins of the labeled set; None where they are not informative."""
    if labeled is None:
        warn(
            'boxes are not fitted around poses: no labeled sample has a box and two '
            'keypoints to take margins from'
        )
        return None
    if labeled.overlap < MIN_OVERLAP and not stated:
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


def _log_fit(fit: BoxFit, origin: str) -> None:
    margins = ', '.join(f'{100 * margin:.0f} %' for margin in fit.margins)
    print_log(
        'each box is fitted around a pose that was found before: left, top, right and '
        f'bottom margins of {margins} of the diagonal of the pose, {origin}',
        logger='current',
    )


@dataclass(frozen=True)
class Comparison:
    """Comparison of how poses fill their boxes on both sides.

    Attributes:
        sentence: The result in words.
        differs: Whether the boxes of both sides differ.
    """

    sentence: str
    differs: bool

    @property
    def level(self) -> int:
        """Logging level of the sentence."""
        return logging.WARNING if self.differs else logging.INFO


def labeled_fill(dataset: Any) -> PoseFill | None:
    """Measure the boxes of a labeled set as training sees them.

    Args:
        dataset: A data set of MMPose, of one sample per instance or image, or several
            in one; of their pipelines only the keypoint converters count.

    Returns:
        The medians; None where no sample can be measured.
    """
    samples = _sample_evenly(members_of(dataset))
    rows = [
        _box_and_keypoints(sample)
        for sample in samples
        if sample.get('bbox') is not None
    ]
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
        candidates: Candidates of some images, (N,) each.
        labeled: The fill of the labeled set, for the usual number of keypoints.

    Returns:
        The medians; None where too few poses can be measured.
    """
    if not candidates:
        return None
    scores = np.concatenate([image.keypoint_scores for image in candidates])
    fill = measure_fill(
        np.concatenate([image.bboxes for image in candidates]),
        np.concatenate([image.keypoints for image in candidates]),
        scores > BoxFit.score_thr,
        labeled.keypoints,
    )
    return fill if fill and fill.poses >= MIN_POSES else None


def stored_candidates(store: LabelStore, chunks: Sequence[int]) -> Candidates:
    """Read the candidates of some chunks.

    Args:
        store: A store that has these chunks.
        chunks: Numbers of the chunks, at least one.
    """
    tables = pa.concat_tables(store.scan(chunks=chunks))
    return table_to_labels(tables, store.num_keypoints).candidates


def compare_fills(
    labeled: PoseFill, unlabeled: PoseFill, fitted: bool, found: bool = False
) -> Comparison:
    """Compare how poses fill their boxes on both sides.

    Args:
        labeled: The fill of the labeled set.
        unlabeled: The fill of the candidates.
        fitted: Whether their boxes were fitted around poses.
        found: Whether the teacher found the boxes itself.
    """
    sentence = (
        f'in the labeled set a pose fills {_shares(labeled)} of its box, in the '
        f'unlabeled images {_shares(unlabeled)} (width x height, medians of '
        f'{labeled.poses} and {unlabeled.poses} poses)'
    )
    if not unlabeled.differs_from(labeled):
        return Comparison(sentence, differs=False)
    if found:
        return Comparison(
            f'{sentence}: a student that takes boxes learns others from the labels '
            'than from the labeled set',
            differs=True,
        )
    advice = (
        'give boxes like the labeled ones (distill.unlabeled.bbox_file or a detector)'
    )
    if fitted:
        return Comparison(
            f'{sentence}, even after boxes were fitted around the poses of a first '
            f'pass: the teacher errs more in boxes unlike those it learned; {advice}',
            differs=True,
        )
    return Comparison(
        f'{sentence}: the teacher errs more in boxes unlike those it learned; set '
        'distill.labeling.refit_boxes=True to label in boxes fitted around the poses '
        f'of a first pass, or {advice}',
        differs=True,
    )


def _sample_evenly(members: Sequence[Member]) -> Iterator[Mapping[str, Any]]:
    """Draw samples evenly over all members, in the keypoints of the whole set."""
    ends = np.cumsum([len(member.dataset) for member in members])
    total = int(ends[-1]) if len(ends) else 0
    for index in np.linspace(0, total - 1, min(total, MAX_SAMPLES)).astype(int):
        member_index = int(np.searchsorted(ends, index, side='right'))
        member = members[member_index]
        first = int(ends[member_index]) - len(member.dataset)
        info = member.dataset.get_data_info(int(index) - first)
        for instance in single_instances(info):
            # The host's converters take a key for a value.
            sample = {k: value for k, value in instance.items() if value is not None}
            for converter in member.converters:
                sample = converter.transform(sample)
            yield sample


def _shares(fill: PoseFill) -> str:
    return f'{100 * fill.width:.0f} % x {100 * fill.height:.0f} %'


def _box_and_keypoints(
    sample: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Box (4,), keypoints (K, 2) and which of them are annotated (K,) of a sample."""
    keypoints = np.asarray(sample['keypoints'], dtype=np.float64)[0, :, :2]
    visible = np.asarray(sample['keypoints_visible'])
    # Some sets give a weight beside each visibility.
    visible = visible[..., 0] if visible.ndim > 2 else visible
    box = np.asarray(sample['bbox'], dtype=np.float64).reshape(-1)[:4]
    return box, keypoints, visible.reshape(-1) > 0
