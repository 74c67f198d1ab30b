"""The selection: which candidates are pseudo-labels, and why.

A selection read back from JSON, which knows neither tuples nor our classes.

When a selection that stands is made again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from mmdistill.config.renamed import with_new_names
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError
from mmdistill.functional.count_matching import label_keypoints
from mmdistill.functional.ranking import compared_values
from mmdistill.selection.counts import LabeledCounts, Part, UnlabeledCounts
from mmdistill.selection.scores import Scored, Scores, scores_of
from mmdistill.selection.thresholds import Threshold, threshold_index
from mmdistill.store.sources import Sources
from mmdistill.store.store import LabelStore
from mmdistill.utils.files import json_sha256, read_json, write_json

SELECTION_FILE = 'selection.json'


@dataclass(frozen=True)
class Selection:
    """Thresholds with all that led to them.

    A candidate is kept when what it is compared by reaches its threshold and it has
    a visible keypoint.

    Attributes:
        options: How it was chosen.
        thresholds: Threshold of each source and category, or the one for all.
        keypoint_thrs: For each keypoint the score above which it is visible, (K,);
            None where none is. The others of a kept candidate have visibility 0
            and train nothing.
        labeled: Counts of the labeled set.
        unlabeled: Counts of the store.
        parts: What becomes of each source and category.
        curve_thresholds: Thresholds of the counting curve, ascending.
        curve_means: Instances per unlabeled image at each of them.
        changes: Those of its options that `tools/select_labels.py` was given, which
            stay when the config's change.
    """

    options: SelectionOptions
    thresholds: tuple[Threshold, ...]
    keypoint_thrs: tuple[float | None, ...]
    labeled: LabeledCounts
    unlabeled: UnlabeledCounts
    parts: tuple[Part, ...] = ()
    curve_thresholds: tuple[float, ...] = ()
    curve_means: tuple[float, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """'count' when matched to the labeled set, 'score' when set by hand."""
        return 'count' if self.options.score_thr is None else 'score'

    @property
    def labeled_images(self) -> str:
        """Labeled images that count: 'all' or 'annotated'."""
        return self.options.labeled_images

    @property
    def score_thrs(self) -> list[float]:
        """The different thresholds, ascending, without those that keep nothing."""
        found = {threshold.score_thr for threshold in self.thresholds}
        return sorted(thr for thr in found if thr is not None)

    @property
    def limits(self) -> np.ndarray:
        """The thresholds in their order, infinite where nothing is kept, (T,)."""
        found = [t.score_thr for t in self.thresholds]
        return np.array([np.inf if thr is None else thr for thr in found])

    @property
    def aim(self) -> float:
        """Instances that count matching aims at."""
        return self.labeled.mean(self.labeled_images) * self.unlabeled.images

    @property
    def needs_agreement(self) -> bool:
        """Whether the agreement of the views decides."""
        return self.options.criterion != 'score'

    @property
    def needs_all_candidates(self) -> bool:
        """Whether a candidate's place among all others decides."""
        return self.options.criterion == 'both'

    def visible(self, keypoint_scores: np.ndarray) -> np.ndarray:
        """Which keypoints of kept candidates are visible.

        Args:
            keypoint_scores: Their scores, (..., K).

        Returns:
            Which, (..., K), bool.
        """
        thresholds = [np.inf if thr is None else thr for thr in self.keypoint_thrs]
        return label_keypoints(keypoint_scores, np.array(thresholds))

    def above_threshold(self, scores: Scores) -> np.ndarray:
        """Which candidates reach their threshold.

        Args:
            scores: What they are chosen by; of all candidates of the store where
                the selection `needs_all_candidates`.

        Returns:
            Which, (M,), bool; those without a visible keypoint are among them where
            the keypoint threshold was matched.
        """
        rows, groups, values = self.compared(scores)
        chosen = np.zeros(len(scores), dtype=bool)
        # A threshold that float32 does not hold keeps nothing.
        with np.errstate(over='ignore'):
            limits = self.limits.astype(values.dtype)
        chosen[rows] = values >= limits[groups]
        return chosen

    def compared(self, scores: Scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The candidates that can be chosen, and what of them is compared.

        Args:
            scores: As `chosen` takes them.

        Returns:
            Their positions, (N,), under which threshold each falls, (N,), and what is
            compared with it, (N,).
        """
        groups = threshold_index(self.thresholds, scores.category_ids, scores.sources)
        rows = np.flatnonzero((scores.counted > 0) & (groups >= 0))
        groups = groups[rows]
        values = compared_values(
            self.options.criterion,
            scores.instances[rows],
            scores.agreement[rows],
            groups,
            len(self.thresholds),
        )
        return rows, groups, values

    def kept(self, candidates: Scored, sources: Sources | None = None) -> np.ndarray:
        """Which candidates are kept.

        Args:
            candidates: The candidates; all of the store where the selection
                `needs_all_candidates`.
            sources: Where their images came from, (M,), as
                `StoredLabels.candidate_sources` says; needed where sources have
                thresholds of their own.

        Returns:
            Which, (M,), bool.
        """
        if sources is None:
            assert self.options.group_by == 'all'
            sources = Sources(('',), np.zeros(len(candidates.category_ids), np.int32))
        scores = scores_of(
            candidates, sources, self.options.counted_thr, self.needs_agreement
        )
        return self.above_threshold(scores) & self.visible(
            candidates.keypoint_scores
        ).any(1)

    def overridden(
        self, score_thr: float | None, keypoint_thr: float | None
    ) -> Selection:
        """The selection with thresholds of instance and keypoint scores set by hand.

        Its counts stay those of before.

        Args:
            score_thr: Instance score to keep candidates at; as it is when None.
            keypoint_thr: Keypoint score above which a keypoint is visible; as it is
                when None.
        """
        changed = self
        if score_thr is not None:
            options = replace(
                self.options, criterion='score', group_by='all', score_thr=score_thr
            )
            by_hand = (Threshold(None, None, score_thr),)
            changed = replace(changed, options=options, thresholds=by_hand)
        if keypoint_thr is not None:
            options = replace(changed.options, keypoint_thr=keypoint_thr)
            same = (keypoint_thr,) * len(self.keypoint_thrs)
            changed = replace(changed, options=options, keypoint_thrs=same)
        return changed

    def write(self, store: LabelStore) -> None:
        """Write `selection.json` into the store's folder.

        Args:
            store: The store that it was made of, as it is now.
        """
        content = asdict(self)
        content['means'] = self._means()
        content['store'] = store.digest()
        content['sha256'] = json_sha256(content)
        write_json(store.root / SELECTION_FILE, content)

    def _means(self) -> dict[str, float]:
        """What follows from the counts, for readers."""
        return {
            'instances_per_labeled_image': self.labeled.mean(
                self.options.labeled_images
            ),
            'instances_per_unlabeled_image': self.unlabeled.mean,
            'keypoints_per_labeled_instance': self.labeled.mean_keypoints,
            'keypoints_per_kept_instance': self.unlabeled.mean_keypoints,
        }


def read_selection(store: LabelStore) -> Selection:
    """Read the selection of a store.

    Raises:
        UserError: If there is none, it is not one of ours, or the store has other
            images by now.
    """
    selection, current = load_selection(store)
    if not current:
        raise UserError(
            f'the selection {store.root / SELECTION_FILE} was made before the store '
            'became what it is; make it again with tools/select_labels.py'
        )
    return selection


def load_selection(store: LabelStore) -> tuple[Selection, bool]:
    """The selection in a store's folder, and whether it is of the store as it is.

    Raises:
        UserError: If there is none, or it is not one of ours.
    """
    path = store.root / SELECTION_FILE
    remedy = 'Make it with tools/select_labels.py'
    content = read_json(path, 'the selection', remedy)
    try:
        digest, made_of = content.pop('sha256'), content.pop('store')
        if digest != json_sha256({**content, 'store': made_of}):
            raise ValueError('it was changed after it was written')
        content.pop('means')
        selection = Selection(**selection_fields(content))
        if len(selection.keypoint_thrs) != store.num_keypoints:
            raise ValueError(
                f'it has thresholds of {len(selection.keypoint_thrs)} keypoints, the '
                f'store has {store.num_keypoints}'
            )
        return selection, made_of == store.digest()
    except UserError:
        raise
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f'the selection {path} is not one of ours: {error}; '
            'make it again with tools/select_labels.py'
        ) from error


KINDS: dict[str, tuple[type, ...]] = {
    'int': (int,),
    'int | None': (int, type(None)),
    'str': (str,),
    'str | None': (str, type(None)),
    'float': (int, float),
    'float | None': (int, float, type(None)),
}
"""Types that JSON has for the annotations of our dataclasses."""
LARGEST = 2**63
"""More than any count or number of a category."""
LISTS = ('keypoint_thrs', 'curve_thresholds', 'curve_means')


def selection_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Selection` as they were before they became JSON.

    Args:
        content: They as `json` reads them.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: If it is not the content of a
            selection.
    """
    _check(content)
    labeled = dict(content['labeled'])
    for name in ('categories', 'keypoints'):
        labeled[name] = tuple(labeled[name])
    labeled['categories'] = tuple(map(tuple, labeled['categories']))
    converted = dict(
        options=SelectionOptions(**with_new_names(content['options'])),
        thresholds=tuple(Threshold(**each) for each in content['thresholds']),
        labeled=LabeledCounts(**labeled),
        unlabeled=UnlabeledCounts(**content['unlabeled']),
        changes=with_new_names(content['changes']),
        parts=tuple(Part(**each) for each in content['parts']),
    )
    lists = {key: tuple(content[key]) for key in LISTS}
    return {**content, **lists, **converted}


def _check(content: Mapping[str, Any]) -> None:
    """Make sure that values are of the types that they were written with."""
    labeled = content['labeled']
    _check_fields(LabeledCounts, [labeled])
    _check_fields(UnlabeledCounts, [content['unlabeled']])
    _check_fields(Threshold, content['thresholds'])
    _check_fields(Part, content['parts'])
    for pair in labeled['categories']:
        _check_values(pair, 'int')
    _check_values(labeled['keypoints'], 'int')
    _check_values(content['keypoint_thrs'], 'float | None')
    for name in ('curve_thresholds', 'curve_means'):
        _check_values(content[name], 'float')
    if not isinstance(content['changes'], dict):
        raise TypeError(f'changes cannot be {content["changes"]!r}')


def _check_fields(kind: type, entries: Iterable[Mapping[str, Any]]) -> None:
    for entry in entries:
        for one in fields(kind):
            if one.name in entry and str(one.type) in KINDS:
                _check_values([entry[one.name]], str(one.type))


def _check_values(values: Any, annotation: str) -> None:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f'a list is expected, got {values!r}')
    for value in values:
        wrong = isinstance(value, bool) or not isinstance(value, KINDS[annotation])
        wrong |= isinstance(value, float) and not math.isfinite(value)
        if wrong or (isinstance(value, int) and abs(value) >= LARGEST):
            raise TypeError(f'{annotation} is expected, got {value!r}')


def stale_reasons(
    selection: Selection,
    options: SelectionOptions,
    labeled: LabeledCounts,
    current: bool,
) -> list[str]:
    """What changed since a selection was made.

    Args:
        selection: The selection that stands.
        options: How pseudo-labels are to be chosen now.
        labeled: Counts of the labeled set as it is now.
        current: Whether it was made of the store as it is now.

    Returns:
        The reasons to make it again, in words; none while it holds.
    """
    reasons = [] if current else ['the store has other images than when it was made']
    if selection.labeled.fingerprint != labeled.fingerprint:
        reasons.append(
            f'it was matched to another labeled set ({selection.labeled.instances} '
            f'instances, now {labeled.instances})'
        )
    before = asdict(selection.options)
    reasons += [
        f'{name} was {before[name]!r} and is {value!r}'
        for name, value in asdict(options).items()
        if before[name] != value
    ]
    return reasons
