"""The choice of pseudo-labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

from mmdistill.config.kinds import NUMBER, Choice, Either
from mmdistill.config.settings import setting
from mmdistill.errors import ConfigError
from mmdistill.functional.ranking import CRITERIA

LABELED_IMAGES = ('all', 'annotated')
GROUP_BY = ('all', 'source')
CATEGORIES = ('auto', 'each', 'together')
COMPARED = {
    'score': 'instance score',
    'agreement': 'view agreement',
    'both': 'rank product of score and agreement',
}
"""Compared values, in words."""
KEYPOINT_RULES = ('count', 'count_per_type')
COUNTED_THR = 0.2
"""Keypoint score above which keypoints count where their threshold is matched only
after the instances are chosen; MMPose's own threshold of instance scores."""


@dataclass(frozen=True)
class SelectionOptions:
    """The choice of pseudo-labels.

    Attributes:
        labeled_images: Labeled images that count: 'all', or 'annotated', those with an
            instance.
        group_by: 'source': each folder, video or domain has a threshold of its own, and
            keeps as many instances per image as the labeled set has, whose mean is
            the same for every source. 'all': one threshold for all.
        categories: 'each': a threshold for each category, matched to the labeled
            instances of that category per image; 'together': one for all; 'auto':
            'each' where both sets have several categories.
        criterion: What is compared: the instance 'score', the views' 'agreement' (the
            mean over an instance's keypoints that count), or 'both': the product of
            the ranks by score and by agreement among the candidates that share a
            threshold, from 0 to 1.
        min_thr: The lowest threshold: where the matched one is lower, this holds.
        max_thr: The highest one: where the matched one is higher, this holds.
        keypoint_thr: Keypoint score above which a keypoint is visible. 'count': the
            one above which a kept instance has as many visible keypoints as a
            labeled one; 'count_per_type': one for each keypoint, above which as
            many have it.
        score_thr: Threshold set by hand, instead of the matched ones, for all sources
            and categories; min_thr and max_thr do not bear on it.

    Raises:
        UserError: If one of them is none of these.
    """

    labeled_images: str = setting(
        Choice(LABELED_IMAGES),
        'labeled images that count: all, or those with an instance',
        'all',
    )
    group_by: str = setting(
        Choice(GROUP_BY), 'whether each source has a threshold of its own', 'all'
    )
    categories: str = setting(
        Choice(CATEGORIES),
        'whether each category has one; auto: where both sides have several',
        'auto',
    )
    criterion: str = setting(
        Choice(CRITERIA),
        "what is compared: the score, the views' agreement, or the product of the "
        'ranks by both',
        'score',
    )
    min_thr: float | None = setting(NUMBER, 'the lowest threshold, whatever is matched')
    max_thr: float | None = setting(NUMBER, 'the highest one')
    keypoint_thr: float | str = setting(
        Either((NUMBER, Choice(KEYPOINT_RULES))),
        'score above which a keypoint is visible, or how to match it to the visible '
        'keypoints of labeled instances',
        0.2,
    )
    score_thr: float | None = setting(
        NUMBER, 'keep what reaches at least this, instead of matching counts'
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value, kind = getattr(self, each.name), each.metadata['kind']
            if value not in kind and not (value is None and each.default is None):
                none = ' or None' if each.default is None else ''
                raise ConfigError(f'{each.name} must be {kind}{none}, got {value!r}')
        low, high = self.min_thr, self.max_thr
        if low is not None and high is not None and low > high:
            raise ConfigError(
                f'min_thr must be at most max_thr, got min_thr {low} and max_thr {high}'
            )

    def separates_categories(
        self, stored: Collection[int], annotated: Collection[int]
    ) -> bool:
        """Whether each category has a threshold of its own.

        Args:
            stored: Categories of the candidates.
            annotated: Those of the labeled instances.
        """
        several = min(len(set(stored)), len(set(annotated))) > 1
        return self.categories == 'each' or (self.categories == 'auto' and several)

    @property
    def matches_keypoints(self) -> bool:
        """Whether the keypoint threshold is matched and not stated."""
        return isinstance(self.keypoint_thr, str)

    @property
    def compared(self) -> str:
        """The value that is compared with the thresholds, in words."""
        return COMPARED[self.criterion]

    @property
    def counted_thr(self) -> float:
        """Keypoint score above which a keypoint counts when instances are chosen."""
        return COUNTED_THR if isinstance(self.keypoint_thr, str) else self.keypoint_thr
