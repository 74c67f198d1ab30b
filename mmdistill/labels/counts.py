"""Counts of both sets: what count matching compares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabeledCounts:
    """How many instances the labelled set has, as training sees it.

    Attributes:
        images: All images of the set.
        annotated_images: Images with at least one instance that is trained on.
        instances: Instances that are trained on.
        fingerprint: Names the set: a hash over its images and instances.
        categories: Category and number of instances, by category.
        keypoints: Instances that have each keypoint visible, (K,).
    """

    images: int
    annotated_images: int
    instances: int
    fingerprint: str
    categories: tuple[tuple[int, int], ...] = ()
    keypoints: tuple[int, ...] = ()

    def mean(self, over: str, category_id: int | None = None) -> float:
        """Instances per image.

        Args:
            over: 'all' images, or the 'annotated' ones, of whatever category.
            category_id: The category to count, all of them when None.
        """
        count = self.images if over == 'all' else self.annotated_images
        instances = self.instances
        if category_id is not None:
            instances = dict(self.categories).get(category_id, 0)
        return instances / count if count else 0.0

    @property
    def mean_keypoints(self) -> float:
        """Visible keypoints per instance."""
        return sum(self.keypoints) / self.instances if self.instances else 0.0


@dataclass(frozen=True)
class UnlabeledCounts:
    """What a selection does to the candidates.

    Attributes:
        images: Images that could be read.
        failed: Images that could not.
        candidates: Candidates on them.
        kept: Candidates that are kept.
        kept_keypoints: Visible keypoints of those.
        dropped_keypoints: Their other keypoints: visibility 0.
        emptied: Images with candidates of which none is kept.
    """

    images: int
    failed: int
    candidates: int
    kept: int
    kept_keypoints: int = 0
    dropped_keypoints: int = 0
    emptied: int = 0

    @property
    def dropped(self) -> int:
        """Candidates that are not kept."""
        return self.candidates - self.kept

    @property
    def mean(self) -> float:
        """Kept candidates per image."""
        return self.kept / self.images if self.images else 0.0

    @property
    def mean_keypoints(self) -> float:
        """Visible keypoints per kept candidate."""
        return self.kept_keypoints / self.kept if self.kept else 0.0


@dataclass(frozen=True)
class Part:
    """What a selection does to one source's candidates of one category.

    Attributes:
        source: The source.
        category_id: The category; None where all are one.
        score_thr: The threshold that holds here; None when nothing is kept.
        images: Images of the source that could be read.
        candidates: Candidates.
        kept: Candidates that are kept.
        kept_keypoints: Visible keypoints of those.
        dropped_keypoints: Their other keypoints.
        labeled_mean: Instances per labelled image that they were compared with.
    """

    source: str
    category_id: int | None
    score_thr: float | None
    images: int
    candidates: int
    kept: int
    kept_keypoints: int
    dropped_keypoints: int
    labeled_mean: float

    @property
    def mean(self) -> float:
        """Kept candidates per image."""
        return self.kept / self.images if self.images else 0.0
