"""Selection of pseudo-labels: its thresholds, its counts and its JSON file.

A selection is read back from `selection.json` with types and hash checked, and is stale
when the store, the labeled set or the options have changed since it was made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from mmdistill.config.renamed import with_new_names
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import StoreError, UserError
from mmdistill.functional.count_matching import label_keypoints
from mmdistill.functional.ranking import compared_values
from mmdistill.selection.counts import LabeledCounts, Part, UnlabeledCounts
from mmdistill.selection.scores import Scored, Scores, scores_of
from mmdistill.selection.threshold_groups import Threshold, threshold_index
from mmdistill.store.image_sources import Sources
from mmdistill.store.store import LabelStore
from mmdistill.utils.files import json_sha256, read_json, write_json

SELECTION_FILE = 'selection.json'
"""Name of the file in a store's folder."""

KINDS: dict[str, tuple[type, ...]] = {
    'int': (int,),
    'int | None': (int, type(None)),
    'str': (str,),
    'str | None': (str, type(None)),
    'float': (int, float),
    'float | None': (int, float, type(None)),
}
"""Types in JSON of the annotations of the dataclasses."""
LARGEST = 2**63
"""Exclusive upper limit of counts and category ids."""
LISTS = ('keypoint_thrs', 'curve_thresholds', 'curve_means')
"""Fields of a selection that are lists in JSON and tuples here."""


@dataclass(frozen=True)
class Selection:
    """Thresholds of pseudo-labels, with the options and counts behind them.

    A candidate is kept when its compared value reaches its threshold and it has a
    visible keypoint; a box, which has no keypoints, when its value reaches it.

    Attributes:
        options: Options of the selection.
        thresholds: Threshold of each source and category, or the one for all.
        keypoint_thrs: For each keypoint the score above which it is visible, (K,);
            None where none is. The others of a kept candidate have visibility 0
            and train nothing.
        labeled: Counts of the labeled set.
        unlabeled: Counts of the store.
        parts: Counts of each source and category.
        curve_thresholds: Thresholds of the counting curve, ascending.
        curve_means: Instances per unlabeled image at each of them.
        changes: Options set by `tools/select_labels.py`, which remain when those of
            the config change.

    >>> selection.score_thrs, selection.unlabeled.kept, selection.aim
    ([0.75], 2, 2.0)
    >>> labels = store.read()
    >>> selection.kept(labels.candidates, labels.candidate_sources).tolist()
    [True, False, True]
    >>> selection.overridden(score_thr=0.4, keypoint_thr=None).rule
    'score'
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
        """Distinct thresholds, ascending, without those that keep nothing."""
        distinct = {threshold.score_thr for threshold in self.thresholds}
        return sorted(thr for thr in distinct if thr is not None)

    @property
    def limits(self) -> np.ndarray:
        """Thresholds in their order, infinite where nothing is kept, (T,)."""
        limits = [t.score_thr for t in self.thresholds]
        return np.array([np.inf if thr is None else thr for thr in limits])

    @property
    def of_boxes(self) -> bool:
        """Whether the candidates are boxes, without keypoints."""
        return not self.keypoint_thrs

    @property
    def aim(self) -> float:
        """Number of instances that count matching aims at."""
        return self.labeled.mean(self.options.labeled_images) * self.unlabeled.images

    @property
    def needs_agreement(self) -> bool:
        """Whether the agreement of the views decides."""
        return self.options.criterion != 'score'

    @property
    def needs_all_candidates(self) -> bool:
        """Whether a candidate's rank among all others decides."""
        return self.options.criterion == 'both'

    def visible(self, keypoint_scores: np.ndarray) -> np.ndarray:
        """Mask of the visible keypoints of kept candidates.

        A box, whose scores stand for a keypoint in an audit, is all visible.

        Args:
            keypoint_scores: Their scores, (..., K).

        Returns:
            Mask, (..., K), bool.
        """
        if self.of_boxes:
            return np.ones(np.shape(keypoint_scores), dtype=bool)
        thresholds = [np.inf if thr is None else thr for thr in self.keypoint_thrs]
        return label_keypoints(keypoint_scores, np.array(thresholds))

    def trains(self, keypoint_scores: np.ndarray) -> np.ndarray:
        """Mask of the candidates that train something: a visible keypoint, or a box.

        Args:
            keypoint_scores: Scores of their keypoints, (M, K).

        Returns:
            Mask, (M,), bool.
        """
        if self.of_boxes:
            return np.ones(len(keypoint_scores), dtype=bool)
        return self.visible(keypoint_scores).any(axis=1)

    def above_threshold(self, scores: Scores) -> np.ndarray:
        """Mask of the candidates that reach their threshold.

        Args:
            scores: Scores of the candidates; of all candidates of the store where
                the selection `needs_all_candidates`.

        Returns:
            Mask, (M,), bool; candidates without a visible keypoint are among them where
            the keypoint threshold was matched.
        """
        rows, groups, values = self.compared(scores)
        above = np.zeros(len(scores), dtype=bool)
        # A threshold that float32 does not hold keeps nothing.
        with np.errstate(over='ignore'):
            limits = self.limits.astype(values.dtype)
        above[rows] = values >= limits[groups]
        return above

    def compared(self, scores: Scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute the values of candidates that are compared with thresholds.

        Args:
            scores: Scores as in `above_threshold`.

        Returns:
            Indices of the eligible candidates, (N,), the index of each one's
            threshold, (N,), and the value compared with it, (N,).
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
        """Mask of the kept candidates.

        Args:
            candidates: The candidates; all of the store where the selection
                `needs_all_candidates`.
            sources: Sources of their images, (M,), as `StoredLabels.candidate_sources`;
                needed where sources have thresholds of their own.

        Returns:
            Mask, (M,), bool.
        """
        if sources is None:
            assert self.options.group_by == 'all'
            sources = Sources(('',), np.zeros(len(candidates.category_ids), np.int32))
        scores = scores_of(
            candidates, sources, self.options.counted_thr, self.needs_agreement
        )
        return self.above_threshold(scores) & self.trains(candidates.keypoint_scores)

    def overridden(
        self, score_thr: float | None, keypoint_thr: float | None
    ) -> Selection:
        """Copy the selection with instance or keypoint thresholds set by hand.

        Its counts are not changed.

        Args:
            score_thr: Instance score to keep candidates at; unchanged when None.
            keypoint_thr: Keypoint score above which a keypoint is visible; unchanged
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
            store: The store that it was made of, unchanged since.

        Raises:
            UserError: If the disk refuses the file.
        """
        content = asdict(self)
        content['means'] = self._means()
        content['store'] = store.digest()
        content['sha256'] = json_sha256(content)
        write_json(store.root / SELECTION_FILE, content)

    def _means(self) -> dict[str, float]:
        """Means that follow from the counts, for readers of the file."""
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

    Args:
        store: A store with a selection.

    Raises:
        UserError: If there is none, the file is not a selection of this package, or
            the store has other images by now.

    >>> selection.write(store)
    >>> read_selection(store) == selection
    True
    """
    selection, current = load_selection(store)
    if not current:
        raise StoreError(
            f'the selection {store.root / SELECTION_FILE} was made before the store '
            'changed; make it again with tools/select_labels.py'
        )
    return selection


def load_selection(store: LabelStore) -> tuple[Selection, bool]:
    """Read the selection of a store, current or not.

    Args:
        store: A store with a selection.

    Returns:
        The selection, and whether the store is unchanged since it was made.

    Raises:
        UserError: If there is none, or the file is not a selection of this package.

    >>> selection.write(store)
    >>> stored, current = load_selection(store)
    >>> current
    True
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
        raise StoreError(
            f'the selection {path} is not a selection of mmdistill: {error}; '
            'make it again with tools/select_labels.py'
        ) from error


def has_selection(store: LabelStore) -> bool:
    """Whether a store has a selection, usable or not.

    Args:
        store: The store.

    >>> selection.write(store)
    >>> has_selection(store)
    True
    """
    return (store.root / SELECTION_FILE).is_file()


def selection_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Convert JSON values to the fields of a `Selection`.

    Args:
        content: The values as `json` reads them.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: If it is not the content of a
            selection.

    >>> import json
    >>> content = json.loads(json.dumps(asdict(selection)))
    >>> Selection(**selection_fields(content)) == selection
    True
    """
    _check(content)
    labeled = dict(content['labeled'])
    for name in ('categories', 'keypoints'):
        labeled[name] = tuple(labeled[name])
    labeled['categories'] = tuple(map(tuple, labeled['categories']))
    converted = dict(
        options=SelectionOptions(**with_new_names(content['options'])),
        thresholds=tuple(Threshold(**entry) for entry in content['thresholds']),
        labeled=LabeledCounts(**labeled),
        unlabeled=UnlabeledCounts(**content['unlabeled']),
        changes=with_new_names(content['changes']),
        parts=tuple(Part(**entry) for entry in content['parts']),
    )
    lists = {key: tuple(content[key]) for key in LISTS}
    return {**content, **lists, **converted}


def stale_reasons(
    selection: Selection,
    options: SelectionOptions,
    labeled: LabeledCounts,
    current: bool,
) -> list[str]:
    """List the changes since a selection was made.

    Args:
        selection: The existing selection.
        options: Options of the selection now.
        labeled: Counts of the labeled set now.
        current: Whether the store is unchanged.

    Returns:
        The reasons to make it again, as phrases; none while it is valid.

    >>> stale_reasons(selection, SelectionOptions(min_thr=0.5), labeled, current=True)
    ['min_thr was None and is 0.5']
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


def _check(content: Mapping[str, Any]) -> None:
    """Check that values have the types that they were written with."""
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
        for attribute in fields(kind):
            if attribute.name in entry and str(attribute.type) in KINDS:
                _check_values([entry[attribute.name]], str(attribute.type))


def _check_values(values: Any, annotation: str) -> None:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f'a list is expected, got {values!r}')
    for value in values:
        wrong = isinstance(value, bool) or not isinstance(value, KINDS[annotation])
        wrong |= isinstance(value, float) and not math.isfinite(value)
        if wrong or (isinstance(value, int) and abs(value) >= LARGEST):
            raise TypeError(f'{annotation} is expected, got {value!r}')
