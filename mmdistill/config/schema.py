"""The `distill` section of a config: every setting with its kind, default and meaning.

What is stated here is stated nowhere else: the constructors of loops and data sets
take their defaults from these classes, the reference in `configs/README.md` is made
of them, and `mmdistill.config.recipe` reads a config by them. Those of
`distill.selection`, `noise`, `weights`, `finish`, `ema`, `detector` and `rounds` are in
modules of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmdistill.config.detector_options import VOTE_THR, DetectorConfig
from mmdistill.config.finish_options import EmaConfig, FinishConfig
from mmdistill.config.kinds import (
    AT_LEAST_ONE,
    COCO_FILES,
    COUNT,
    FOLDER,
    NUMBER,
    PATH,
    POSITIVE,
    PREFIX,
    SHARE,
    SWITCH,
    Choice,
    Either,
    Fields,
    ListOf,
    Range,
)
from mmdistill.config.noise_options import NoiseConfig
from mmdistill.config.round_options import RoundsConfig
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.config.settings import required, section, setting
from mmdistill.config.weight_options import WeightsConfig


@dataclass(frozen=True)
class TeacherConfig:
    """The model that labels."""

    checkpoint: str | None = setting(PATH, 'its weights, a file or an address')
    config: str | None = setting(
        PATH, 'the config that has its model and test pipeline; else the recipe itself'
    )


@dataclass(frozen=True)
class FollowConfig:
    """Boxes that follow a pose from frame to frame of a video."""

    padding: float = setting(
        Range(1), 'how much longer than the keypoints a box is', 1.5
    )
    score_thr: float = setting(SHARE, 'score above which a keypoint counts', 0.3)


@dataclass(frozen=True)
class UnlabeledConfig:
    """The unlabeled images and their boxes."""

    data_root: str = setting(FOLDER, 'folder that paths are relative to', '')
    data_prefix: Mapping[str, str] | None = setting(
        PREFIX, 'folder of the images, `dict(img=...)`'
    )
    ann_file: str = setting(FOLDER, 'COCO json that lists the images', '')
    bbox_file: str | None = setting(
        FOLDER,
        "detections in MMPose's `bbox_file` form; without any, an image is one box",
    )
    category_ids: Sequence[int] | None = setting(
        ListOf(Range(whole=True), empty=False),
        'categories whose boxes count; else all',
    )
    max_boxes: int = setting(
        AT_LEAST_ONE, 'boxes of an image that are labeled, the best ones', 1000
    )
    max_pixels: int = setting(
        AT_LEAST_ONE, 'width times height above which an image is not decoded', 2**26
    )
    sources: Sequence[Mapping[str, Any]] | None = setting(
        ListOf(Fields(), empty=False),
        'several folders, lists, tars and videos, instead of `data_prefix`',
    )
    detections: str | None = setting(PATH, 'folder of a detection store with the boxes')
    follow: FollowConfig | None = section(
        FollowConfig,
        'the box of a frame is followed from the one before; for one animal',
        None,
    )
    hidden: bool = setting(SWITCH, 'whether hidden files are images too', False)

    @property
    def box_sources(self) -> tuple[str, ...]:
        """Settings that give boxes."""
        names = ('bbox_file', 'detections')
        return tuple(name for name in names if getattr(self, name))


@dataclass(frozen=True)
class ViewsConfig:
    """Views of each box, and how the teacher runs on them."""

    scales: Sequence[float] = setting(
        ListOf(POSITIVE, empty=False),
        'magnifications of the image; one, since each costs a forward pass: '
        '`_base_/distill.py` states the nine of the paper',
        (1.0,),
    )
    flip: bool = setting(SWITCH, 'whether each view is also seen mirrored', True)
    aspect_ratios: Sequence[float] = setting(
        ListOf(POSITIVE), 'magnifications of the width alone, beside the scales', ()
    )
    rotations: Sequence[float] = setting(
        ListOf(NUMBER), 'degrees by which the crop is turned, beside the scales', ()
    )
    resolutions: Sequence[float] = setting(
        ListOf(POSITIVE, empty=False),
        'sizes of the network input that each crop is shown in, 1 being its own',
        (1.0,),
    )
    fusion_resolution: float | None = setting(
        POSITIVE, 'resolution that views are fused at; else the highest of them'
    )
    fusion: str = setting(
        Choice(('mean', 'max')), 'how the heatmaps of the views become one', 'mean'
    )
    match_thr: float = setting(
        SHARE,
        'OKS from which on poses of two views are one, where the teacher finds the '
        'instances of an image itself',
        0.5,
    )
    size_dependent: bool = setting(
        SWITCH,
        'whether small instances are not scaled down and large ones not scaled up',
        False,
    )
    small_area: float = setting(
        Range(0), 'area of a box, pixels, below which it is small', 180**2
    )
    large_area: float = setting(
        Range(0), 'area of a box from which on it is large', 180**2
    )
    forward_batch_size: int | None = setting(
        AT_LEAST_ONE,
        'crops, or images where these are not cut, in a forward pass; else 8 on a CPU '
        'and 64 elsewhere',
    )
    channels_last: bool = setting(
        SWITCH, 'whether memory is laid out channels last', True
    )
    fold_batch_norm: bool = setting(
        SWITCH, 'whether batch norms become part of the convolutions before them', True
    )
    precision: str = setting(
        Choice(('float32', 'bfloat16', 'float16')),
        'precision of the network',
        'float32',
    )
    compile: bool = setting(SWITCH, 'whether the network is compiled', False)
    adaptive: float | None = setting(
        SHARE,
        'agreement from which on an instance is shown in no further views; else every '
        'instance is shown in all',
    )
    adaptive_groups: Sequence[int] = setting(
        ListOf(AT_LEAST_ONE),
        'with `adaptive`: views in each group that is shown before agreement is '
        'compared; the last group has the rest',
        (2, 4),
    )
    offload: bool | None = setting(
        SWITCH,
        'whether several teachers take turns on the device; else where they do not fit '
        'into half of its free memory',
    )
    vote_thr: float = setting(
        SHARE,
        'for detectors, which take `scales` and `flip` besides: overlap from which on '
        'the box of a view is averaged into the label',
        VOTE_THR,
    )


SCORE_FLOOR, NMS_THR = 0.01, 0.9
"""Settings of the labeling of poses that are not stated."""


@dataclass(frozen=True)
class LabelingConfig:
    """The run of the labeling."""

    batch_size: int = setting(AT_LEAST_ONE, 'images in a batch', 16)
    num_workers: int = setting(COUNT, 'processes that read', 2)
    chunk_size: int = setting(AT_LEAST_ONE, 'images in a chunk of the store', 256)
    score_floor: float | None = setting(
        NUMBER,
        'instance score below which a candidate is not stored; else '
        f'{SCORE_FLOOR}, and {DetectorConfig.score_thr} for the boxes of a detector '
        'that is distilled',
    )
    nms_thr: float | None = setting(
        SHARE,
        'OKS above which of two candidates only the better is stored; else '
        f'{NMS_THR}, and an overlap of {DetectorConfig.nms_thr} for boxes',
    )
    max_failures: float = setting(
        SHARE, 'share of failed images above which the finished run is an error', 0.05
    )
    refit_boxes: bool | None = setting(
        SWITCH,
        'whether each box is looked at twice, the second time fitted around its pose '
        "with the labeled set's margins; else where each image is one box",
    )
    reduced_decoding: bool = setting(
        SWITCH,
        'whether a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the views of '
        'its boxes need no more pixels; that is faster and changes labels a little',
        False,
    )

    @property
    def loop_arguments(self) -> dict[str, Any]:
        """Those that `LabelLoop` takes."""
        names = (
            *('chunk_size', 'score_floor', 'nms_thr', 'max_failures'),
            'reduced_decoding',
        )
        return {k: v for k, v in stated(self).items() if k in names}


@dataclass(frozen=True)
class MixingConfig:
    """Batches of the student, and how pseudo-labels are read for them."""

    labeled_share: float | None = setting(
        Range(0, 1, open=True),
        'labeled samples in every batch, at least; else it follows from the numbers of '
        'labels and pseudo-labels: 0.6, less with very many of these',
    )
    source_ratio: Sequence[float] | None = setting(
        ListOf(POSITIVE), 'parts of the sources in a batch, instead of `labeled_share`'
    )
    num_batches: int | None = setting(
        AT_LEAST_ONE, 'batches in an epoch; else as many as both sets fill'
    )
    pseudo_weight: float = setting(
        Range(0), 'weight of a pseudo-labeled keypoint in the loss', 1.0
    )
    score_thr: float | None = setting(
        NUMBER, "instance score to keep a label at, instead of the selection's"
    )
    keypoint_thr: float | None = setting(
        NUMBER, "score above which a keypoint is visible, instead of the selection's"
    )
    ignore_rejected: bool = setting(
        SWITCH,
        'for detectors and students of whole images: whether the best rejected boxes, '
        'as many as are kept, are neither objects nor background, where the '
        "student's losses can ignore",
        False,
    )


@dataclass(frozen=True)
class ScheduleConfig:
    """The growth of the student's schedule."""

    max_factor: float = setting(
        Range(1), 'the schedule grows as the data, at most by this factor', 3.0
    )
    milestones: Sequence[float] = setting(
        ListOf(Range(0, 1, open=True)),
        'shares of the schedule at which the learning rate drops',
        (0.7, 0.9),
    )


@dataclass(frozen=True)
class AuditConfig:
    """The labeled images that an audit looks at."""

    data_root: str = setting(FOLDER, 'folder that paths are relative to', '')
    data_prefix: Mapping[str, str] | None = setting(
        PREFIX, 'folder of the images, `dict(img=...)`'
    )
    ann_file: str | None = setting(PATH, 'COCO json with their annotations')
    bbox_file: str | None = setting(
        PATH, "detections on them in MMPose's `bbox_file` form"
    )


@dataclass(frozen=True)
class DistillConfig:
    """A distillation."""

    teacher: tuple[TeacherConfig, ...] = required(
        'the model that labels; a list of several, checkpoints or such sections, '
        'whose outputs are fused',
        settings=TeacherConfig,
        several=True,
    )
    unlabeled: UnlabeledConfig = required(
        'the unlabeled images', settings=UnlabeledConfig
    )
    store: str = required('folder of the label store; with `rounds`, of round 1', PATH)
    views: ViewsConfig = section(ViewsConfig, 'views of each box')
    labeling: LabelingConfig = section(LabelingConfig, 'how the labeling runs')
    selection: SelectionOptions = section(
        SelectionOptions, 'which candidates become pseudo-labels'
    )
    labeled: Mapping[str, Any] | None = setting(
        Fields(required=('type',)),
        'the labeled data set; else that of `train_dataloader`',
    )
    mixing: MixingConfig = section(MixingConfig, 'batches of the student')
    schedule: ScheduleConfig | None = section(
        ScheduleConfig, "the student's longer schedule; else that of its config", None
    )
    weights: WeightsConfig | None = section(
        WeightsConfig, 'what pseudo-labeled keypoints weigh; else all alike', None
    )
    noise: NoiseConfig | None = section(
        NoiseConfig, 'noise that only the student sees, where stated', None
    )
    finish: FinishConfig | None = section(
        FinishConfig, 'the last part of the training, where stated', None
    )
    ema: EmaConfig | None = section(
        EmaConfig, 'the averaging of the weights, where stated', None
    )
    audit: AuditConfig | None = section(
        AuditConfig, 'labeled images to audit; else the validation set', None
    )
    worth_images: int | None = field(
        default=200,
        metadata=dict(
            kind=COUNT,
            meaning='labeled images, at most, on which it is measured before the '
            'training what the labels can be worth: of `audit`, or of the validation '
            'set, all of which counts once it is audited; 0 and None measure nothing',
            none_is_off=True,
        ),
    )
    leak_guard: bool | Sequence[Mapping[str, str]] = setting(
        Either((SWITCH, ListOf(COCO_FILES))),
        'whether unlabeled images that are validation images are left out; a list: '
        'also those of each `dict(ann_file=..., img_root=...)`',
        True,
    )
    detector: DetectorConfig | None = section(
        DetectorConfig, 'finds the boxes of the unlabeled images, where stated', None
    )
    rounds: RoundsConfig | None = section(
        RoundsConfig, 'the student teaches the next one, where stated', None
    )

    @property
    def teachers(self) -> tuple[TeacherConfig, ...]:
        """The models that label, one or an ensemble of several."""
        return self.teacher

    @property
    def boxes_folder(self) -> Path | None:
        """Folder of the detection store; beside that of the labels if none is stated.

        None where no detector finds boxes.
        """
        if self.detector is None:
            return None
        labels = Path(self.store)
        return Path(self.detector.boxes or labels.with_name(f'{labels.name}_boxes'))

    @property
    def unlabeled_arguments(self) -> dict[str, Any]:
        """Arguments of `UnlabeledDataset`, those of boxes to be detected among them."""
        arguments = stated(self.unlabeled)
        if self.unlabeled.follow is not None:
            arguments['follow'] = stated(self.unlabeled.follow)
        if self.boxes_folder is not None:
            arguments['detections'] = str(self.boxes_folder)
        return arguments

    @property
    def refit_arguments(self) -> dict[str, bool]:
        """Arguments of `BoxFitHook` about boxes that are fitted around poses.

        Where nothing is stated they are, if an image is one box: a teacher was hardly
        trained on those. Boxes that are stated, detected or followed stay.
        """
        refit = self.labeling.refit_boxes
        followed = self.unlabeled.follow is not None
        whole = not (self.unlabeled.box_sources or followed or self.boxes_folder)
        return dict(refit=whole if refit is None else refit, stated=refit is not None)


def stated(settings: Any) -> dict[str, Any]:
    """The settings of a section that are not their defaults.

    Args:
        settings: One of the classes of this module.
    """
    values = {
        each.name: (getattr(settings, each.name), each) for each in fields(settings)
    }
    return {
        name: value for name, (value, each) in values.items() if value != each.default
    }


def dicts_within(value: Any) -> Iterator[Any]:
    """Iterate over all dicts within a config, from the outside in.

    Args:
        value: A config as a dict, or a part of one.
    """
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from dicts_within(inner)


def is_type(part: Mapping[str, Any], name: str) -> bool:
    """Whether a part of a config names a type, with or without its scope.

    Args:
        part: The part, with a `type` or without.
        name: The type's own name.
    """
    return str(part.get('type')).rpartition('.')[2] == name
