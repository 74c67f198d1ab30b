"""The selection: which candidates are pseudo-labels, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from mmdistill.errors import UserError
from mmdistill.labels.columns import Candidates
from mmdistill.labels.files import json_sha256, read_json, write_json
from mmdistill.labels.store import LabelStore

SELECTION_FILE = 'selection.json'


@dataclass(frozen=True)
class LabeledCounts:
    """How many instances the labelled set has, as training sees it.

    Attributes:
        images: All images of the set.
        annotated_images: Images with at least one instance that is trained on.
        instances: Instances that are trained on.
        fingerprint: Names the set: a hash over its images and instances.
    """

    images: int
    annotated_images: int
    instances: int
    fingerprint: str

    def mean(self, over: str) -> float:
        """Instances per image, over 'all' or over 'annotated' images."""
        count = self.images if over == 'all' else self.annotated_images
        return self.instances / count if count else 0.0


@dataclass(frozen=True)
class UnlabeledCounts:
    """What a threshold does to the candidates.

    Attributes:
        images: Images that could be read.
        failed: Images that could not.
        candidates: Candidates on them.
        kept: Candidates that are kept.
    """

    images: int
    failed: int
    candidates: int
    kept: int

    @property
    def dropped(self) -> int:
        """Candidates that are not."""
        return self.candidates - self.kept

    @property
    def mean(self) -> float:
        """Kept candidates per image."""
        return self.kept / self.images if self.images else 0.0


@dataclass(frozen=True)
class Selection:
    """A threshold with all that led to it.

    Attributes:
        rule: 'count' when matched to the labelled set, 'score' when set by hand.
        score_thr: A candidate is kept when its instance score is at least this
            and it has a visible keypoint.
        keypoint_thr: A keypoint of a kept candidate is visible when its score
            is above this; the others have visibility 0 and train nothing.
        over: Labelled images that count: 'all' or 'annotated'.
        labeled: Counts of the labelled set.
        unlabeled: Counts of the store.
        curve_thresholds: Thresholds of the counting curve, ascending.
        curve_means: Instances per unlabelled image at each of them.
    """

    rule: str
    score_thr: float
    keypoint_thr: float
    over: str
    labeled: LabeledCounts
    unlabeled: UnlabeledCounts
    curve_thresholds: tuple[float, ...] = ()
    curve_means: tuple[float, ...] = ()

    def kept(self, candidates: Candidates) -> np.ndarray:
        """Which candidates are kept, (M,), bool."""
        high = candidates.instance_scores >= np.float32(self.score_thr)
        return high & selectable(candidates, self.keypoint_thr)

    def write(self, store: LabelStore) -> None:
        """Write `selection.json` into the store's folder.

        Args:
            store: The store that it was made of, as it is now.
        """
        content = asdict(self)
        content['labeled']['mean'] = self.labeled.mean(self.over)
        content['unlabeled']['dropped'] = self.unlabeled.dropped
        content['unlabeled']['mean'] = self.unlabeled.mean
        content['store'] = store.digest()
        content['sha256'] = json_sha256(content)
        write_json(store.root / SELECTION_FILE, content)


def selectable(candidates: Candidates, keypoint_thr: float) -> np.ndarray:
    """Which candidates have a visible keypoint: the others would train nothing.

    The same rule as for labelled instances, which do not count without keypoints.

    Args:
        candidates: The candidates.
        keypoint_thr: Keypoint score above which a keypoint is visible.

    Returns:
        Which, (M,), bool.
    """
    return (candidates.keypoint_scores > keypoint_thr).any(axis=1)


def read_selection(store: LabelStore) -> Selection:
    """Read the selection of a store.

    Raises:
        UserError: If there is none, it is not one of ours, or the store has other
            images by now.
    """
    selection, current = standing_selection(store)
    if not current:
        raise UserError(
            f'the selection {store.root / SELECTION_FILE} was made before the store '
            'became what it is; make it again with tools/select_labels.py'
        )
    return selection


def standing_selection(store: LabelStore) -> tuple[Selection, bool]:
    """The selection in a store's folder, and whether it is of the store as it is.

    Raises:
        UserError: If there is none, or it is not one of ours.
    """
    path = store.root / SELECTION_FILE
    content = read_json(path, 'the selection')
    try:
        digest, made_of = content.pop('sha256'), content.pop('store')
        if digest != json_sha256({**content, 'store': made_of}):
            raise ValueError('it was changed after it was written')
        for derived in (('labeled', 'mean'), ('unlabeled', 'mean')):
            content[derived[0]].pop(derived[1])
        content['unlabeled'].pop('dropped')
        content['labeled'] = LabeledCounts(**content['labeled'])
        content['unlabeled'] = UnlabeledCounts(**content['unlabeled'])
        for curve in ('curve_thresholds', 'curve_means'):
            content[curve] = tuple(content[curve])
        return Selection(**content), made_of == store.digest()
    except UserError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'the selection {path} is not one of ours: {error}; '
            'make it again with tools/select_labels.py'
        ) from error
