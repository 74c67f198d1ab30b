"""What labels can be worth at most: the fused teacher against the teacher itself.

A student that learns its labels perfectly is as good as they are, and its teacher
already is as good as it is in a single view. What lies between is all that the labels
of fused views can teach, unless the teacher has another model. It is measured on
labeled images that the teacher was not trained on, and stands in `label_worth.json` in
the folder of the store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmdistill.audits.label_views import FLIP, SINGLE_VIEW
from mmdistill.audits.metrics import FUSED
from mmdistill.errors import DataError
from mmdistill.functional.label_quality import PairedGain
from mmdistill.utils.files import read_json

WORTH_FILE = 'label_worth.json'
"""Name of the file in a store's folder."""
LEAST_GAIN = 0.03
"""Share of the error below which fusing gains almost nothing.

It is chosen about as large as the standard error of a gain over 200 photographs of
Leeds Sports Pose Extended, 2.8 %: less is hardly told from chance there.
"""


@dataclass(frozen=True)
class LabelWorth:
    """What labels can be worth at most, measured on labeled images.

    Attributes:
        ann_file: COCO json of the true annotations.
        boxes: Description of the boxes in which the images were labeled.
        images: Number of measured images.
        listed: Number of images that the json lists.
        trained_on: Number of its images that were left out, as the teacher was trained
            on them.
        keypoints: Number of visible keypoints that all views have in common.
        teachers: Number of teachers, which are fused in every view.
        errors: Mean error of these keypoints by view, in units of the instance's size.
        precision: AP of all candidates by view.
        gain: Share by which the labels are nearer to the truth than the teacher in a
            single view.
        gain_over_flip: The same over the teacher in a single view and its mirror image.
        advice: Settings to try next, in words, the most promising first.
        made_by: Hash of what made the labels.
        measured_on: Hash of the measured images and their boxes.
        of_boxes: Whether labels are boxes, whose errors are 1 - IoU; `keypoints` counts
            them then.
        of_another_model: Whether the teachers have a model of their own, so that a
            student can learn from them what they know without fusing.
    """

    ann_file: str
    boxes: str
    images: int
    listed: int
    trained_on: int
    keypoints: int
    teachers: int
    errors: Mapping[str, float]
    precision: Mapping[str, float]
    gain: PairedGain
    gain_over_flip: PairedGain
    advice: tuple[str, ...]
    made_by: str
    measured_on: str
    of_boxes: bool = False
    of_another_model: bool = False

    @property
    def is_little(self) -> bool:
        """Whether the labels are hardly better than the teacher, or worse.

        Those of a teacher of another model need not be better than it.
        """
        return self.gain.share < LEAST_GAIN and not self.of_another_model

    @property
    def is_known(self) -> bool:
        """Whether the views have a keypoint in common, and the teacher errs."""
        return not math.isnan(self.gain.share)

    def sentences(self) -> list[str]:
        """Say in two sentences what was measured."""
        if not self.is_known:
            what = 'box' if self.of_boxes else 'visible keypoint'
            return [
                f'{self._images()}, no {what} of the labels is near a true '
                'one in every view, so what they can be worth is not known'
            ]
        who = 'the teacher'
        if self.teachers > 1:
            who = f'the {self.teachers} teachers together'
        errors = [f'{self.errors[name]:.4f}' for name in (SINGLE_VIEW, FLIP, FUSED)]
        precision = [_number(self.precision[n]) for n in (SINGLE_VIEW, FLIP, FUSED)]
        off = f"a keypoint is off by {errors[0]} of the instance's size"
        if self.of_boxes:
            off = f'a box is off by {errors[0]} of the true one (1 - IoU)'
        return [
            f'{self._images()}, {off} by {who} in a single view, by {errors[1]} with '
            f'its mirror image, and by {errors[2]} in the fused views of the labels '
            f'({self.keypoints} {"boxes" if self.of_boxes else "keypoints"}); '
            f'AP {precision[0]}, {precision[1]} and {precision[2]}',
            f'the labels are {_gain(self.gain)} the truth than {who} in a single view'
            f'{self._flip_clause()}: {self._limit()}',
        ]

    def warning(self) -> str:
        """Say what to try next where fusing gains almost nothing; else empty."""
        if not (self.is_known and self.is_little):
            return ''
        share, spread = self.gain.share, self.gain.standard_error
        if share < 0 and self.gain.is_clear:
            start = 'fusing makes the labels worse than the teacher in a single view'
        else:
            start = f'fusing gains almost nothing, less than {LEAST_GAIN:.0%} of the '
            start += 'error'
            if not share + 2 * spread < LEAST_GAIN:
                start += f' by what {self.images} images can tell'
        return (
            f'{start}: a student of these labels will hardly be better than its '
            f'teacher; try {", or ".join(self.advice)}'
        )

    def doubt(self) -> str:
        """Say that the gain may be one of chance; else empty."""
        if not self.is_known or self.is_little or self.gain.is_clear:
            return ''
        return (
            f'on {self.images} images this gain cannot be told from chance: it is '
            'within two standard errors'
        )

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, the content of `label_worth.json`."""
        return _without_nan(asdict(self))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LabelWorth:
        """Convert JSON values.

        Args:
            content: The values as `json` reads them.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: If they are not those of
                `to_json`.
        """
        texts = ('ann_file', 'boxes', 'made_by', 'measured_on')
        counts = ('images', 'listed', 'trained_on', 'keypoints', 'teachers')
        return cls(
            **{name: _typed(content[name], str) for name in texts},
            **{name: _typed(content[name], int) for name in counts},
            errors=_by_view(content['errors']),
            precision=_by_view(content['precision']),
            gain=_paired_gain(content['gain']),
            gain_over_flip=_paired_gain(content['gain_over_flip']),
            advice=tuple(_typed(text, str) for text in content['advice']),
            of_boxes=_typed(content.get('of_boxes', False), bool),
            of_another_model=_typed(content.get('of_another_model', False), bool),
        )

    def _limit(self) -> str:
        if self.of_another_model:
            return (
                'a student of another model can learn from them what this teacher '
                'knows, and this beside it'
            )
        return 'that is the most that a student can learn from them alone'

    def _flip_clause(self) -> str:
        if self.gain_over_flip == PairedGain(0.0, 0.0):  # it has no other views
            return ''
        return f', and {_gain(self.gain_over_flip)} it than with the mirror image'

    def _images(self) -> str:
        images = f'{self.images} image' + 's' * (self.images != 1)
        if self.images < self.listed:
            images += f' of {self.listed}'
        left_out = ''
        if self.trained_on:
            left_out = f', without the {self.trained_on} that it was'
        return (
            f'on {images} of {self.ann_file} that the teacher was not trained on'
            f'{left_out}, in {self.boxes}'
        )


def read_label_worth(root: Path) -> LabelWorth | None:
    """Read what the labels in a store's folder can be worth.

    Args:
        root: The folder.

    Returns:
        What was measured, None if nothing was.

    Raises:
        DataError: If the file is not one of ours.
    """
    path = root / WORTH_FILE
    if not path.is_file():
        return None
    remedy = 'Remove it; tools/train.py measures again'
    content = read_json(path, 'the worth of the labels', remedy)
    try:
        return LabelWorth.from_json(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f'{path} is not one of ours: {error!r}; remove it, tools/train.py measures '
            'again'
        ) from error


def _gain(gain: PairedGain) -> str:
    """A share with its standard error, and its direction in words."""
    spread = 'not known from one image'
    if not math.isnan(gain.standard_error):
        spread = f'{gain.standard_error:.1%}'
    direction = 'farther from' if gain.share < 0 else 'nearer to'
    return f'{abs(gain.share):.1%} (standard error {spread}) {direction}'


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.3f}'


def _without_nan(value: Any) -> Any:
    """JSON values with null for NaN."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _by_view(content: Mapping[str, Any]) -> dict[str, float]:
    return {name: _float(content[name]) for name in (SINGLE_VIEW, FLIP, FUSED)}


def _paired_gain(content: Mapping[str, Any]) -> PairedGain:
    return PairedGain(_float(content['share']), _float(content['standard_error']))


def _float(value: Any) -> float:
    """A number; null is NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'a number is expected, got {value!r}')
    return float(value)


def _typed(value: Any, kind: type) -> Any:
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise TypeError(f'{kind.__name__} is expected, got {value!r}')
    return value
