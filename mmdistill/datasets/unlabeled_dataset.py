"""Unlabeled images with boxes, one sample per image."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample

from mmdistill.config.metainfo import keypoint_names, ordered_metainfo
from mmdistill.datasets.box_providers import BoxColumns, build_box_provider
from mmdistill.datasets.box_tracker import BoxTracker
from mmdistill.datasets.boxes import MAX_BOXES
from mmdistill.datasets.leakage import drop_leaked_images
from mmdistill.datasets.sources import CocoSource, FolderSource, Source
from mmdistill.datasets.sources.base import text_option
from mmdistill.datasets.sources.image_reader import (
    MAX_PIXELS,
    ImageReader,
    LabeledDepth,
    ReadImage,
)
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import ConfigError
from mmdistill.functional.reduced_decoding import REDUCTION, Sampling, reduction_of
from mmdistill.registry import DATASETS
from mmdistill.store.schema import FAILED, OK
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.files import file_name

SHARED_METAINFO = ('flip_indices', 'skeleton_links', 'dataset_name')
"""Entries of the metainfo that a data sample has."""
BOX_OFF_IMAGE = 'boxes that lie off the image are left out'


@DATASETS.register_module()
class UnlabeledDataset:
    """Unlabeled images for a teacher, each decoded once.

    The images come from one folder or COCO json (`data_prefix`, `ann_file`), or from
    any number of `sources`: folders, patterns, lists, videos and tars. Boxes come
    from a detection file, or each image is one box, or the box of a video frame is
    propagated from the previous frame. A sample holds the whole image and its boxes,
    as `HeatmapFusionTTA` takes them, and the name of its source. An image that cannot
    be read gives a sample without boxes that holds the reason.

    Args:
        metainfo: Keypoints of the teacher, in MMPose's form: a dict with
            `from_file`, or with `keypoint_info` and what belongs to it.
        data_root: Folder that the other paths are relative to.
        data_prefix: `img`: the folder of the images.
        ann_file: A COCO json whose `images` are the list; without it, every
            image below the folder.
        sources: A dict for each source instead, as `mmdistill.datasets.sources`
            describes them; detections call their images by path from the data root.
        bbox_file: Detections in MMPose's `bbox_file` form; without any, each
            image is one box with score 1.
        detections: A detection store with the images instead.
        category_ids: Categories of the detections to label, by default all.
        max_boxes: Maximum number of detections per image, the best ones.
        max_pixels: Width times height above which an image is not decoded.
        leak_guard: Sets to compare with, by which images of the validation set are
            dropped and those of the labeled set reported: `val` and `labeled`, each a
            list of dicts with the `ann_file` and `img_root` of a COCO json, and
            `cache`, a json that caches the hashes of the images.
        hidden: Whether hidden files of the folder are images too, as `FolderSource`
            has it.
        with_boxes: Whether images have boxes; not for a teacher that finds the
            instances itself.
        labeled: The labeled sets, a dict with the `ann_file` and `img_root` of each, by
            which the scaling of images of more than 8 bits is chosen.
        follow: `padding` and `score_thr` of the `BoxTracker` that propagates boxes
            from frame to frame, for videos of a single animal. An image that is no
            video frame is one box.

    Attributes:
        has_boxes: Whether images have boxes.

    Raises:
        UserError: If there is no image, the detection file does not match the images,
            `follow` is given without a video or together with boxes, or boxes are given
            with `with_boxes=False`.
    """

    def __init__(
        self,
        metainfo: dict,
        data_root: str = '',
        data_prefix: dict | None = None,
        ann_file: str = '',
        bbox_file: str | None = None,
        category_ids: Collection[int] | None = None,
        max_pixels: int = MAX_PIXELS,
        sources: Sequence[dict] | None = None,
        leak_guard: Mapping[str, Any] | None = None,
        detections: str | None = None,
        follow: Mapping[str, Any] | None = None,
        max_boxes: int = MAX_BOXES,
        hidden: bool = False,
        labeled: Sequence[Mapping[str, str]] = (),
        with_boxes: bool = True,
    ) -> None:
        root = Path(text_option('data_root', data_root or ''))
        self.metainfo = parse_pose_metainfo(ordered_metainfo(metainfo))
        self.img_root = root / _prefix(data_prefix)
        self._reader = ImageReader(max_pixels, LabeledDepth(labeled))
        self._sampling: Sampling | None = None
        if sources is None:
            source_list = [_default_source(self.img_root, root, ann_file or '', hidden)]
        elif ann_file or data_prefix or hidden:
            raise ConfigError(
                'images come from sources or from data_prefix, ann_file and hidden, '
                'got both'
            )
        else:
            source_list = build_sources(sources, root)
        self._images = SourceList(source_list)
        self._boxes = build_box_provider(
            self._images,
            bbox_file,
            detections,
            category_ids,
            follow,
            max_boxes,
            self._reader,
            with_boxes,
        )
        self.has_boxes = with_boxes
        # Boxes refer to the images before the guard drops some.
        self._numbers = np.arange(len(self._images))
        if leak_guard is not None:
            images, where = self._images, self.img_root
            self._numbers = run_on_rank_zero(
                lambda: drop_leaked_images(images, where, leak_guard)
            )
            self._images.keep(self._numbers)

    @property
    def paths(self) -> list[str]:
        """Paths of all images, relative to the image root."""
        return self._images.keys.to_pylist()

    @property
    def num_boxes(self) -> int:
        """Number of boxes on all images."""
        return self._boxes.count(self._numbers)

    @property
    def tracker(self) -> BoxTracker | None:
        """Tracker of the boxes of video frames, if there is one."""
        return self._boxes.tracker

    def boxes_sha256(self, numbers: np.ndarray) -> str:
        """Hash the boxes and scores of some images.

        Args:
            numbers: Numbers of the images, in this order, (n,).
        """
        return self._boxes.sha256(self._numbers[numbers])

    def decode_reduced(self, sampling: Sampling) -> None:
        """Decode JPEGs at a part of their size from now on, where that is enough.

        Args:
            sampling: How densely the teachers sample an image.

        Raises:
            ConfigError: If boxes are propagated from frame to frame.
        """
        if self.tracker is not None:
            raise ConfigError(
                'reduced_decoding needs boxes that are known before an image is '
                'decoded, got `follow`, which moves them afterwards: leave one out'
            )
        self._sampling = sampling

    @property
    def in_order(self) -> bool:
        """Whether one process should read consecutive images."""
        return self._images.in_order

    def read(self, number: int) -> ReadImage:
        """Read an image; a failure is returned as a reason.

        Args:
            number: The image.
        """
        return self._images.read(number, self._reader)

    def encoded(self, number: int) -> bytes | None:
        """Return the bytes of an image file; None if the image cannot be read.

        Args:
            number: An image without a file of its own, as a video frame.
        """
        return self._images.encoded(number, self._reader)

    def about(self) -> dict[str, Any]:
        """Return the origin of images and boxes, for information, as JSON values."""
        about: dict[str, Any] = {'img_root': str(self.img_root)}
        detector = dict(self._boxes.detector)
        return {**about, 'detector': detector} if detector else about

    def provenance(self) -> dict[str, Any]:
        """Return the settings that decide the rows of a store, as JSON values."""
        return {
            'boxes': self._boxes.description,
            'max_pixels': self._reader.max_pixels,
            'keypoints': keypoint_names(self.metainfo),
            # They undo mirrored views.
            'flip_indices': [int(i) for i in self.metainfo['flip_indices']],
            **({} if self._sampling is None else {'reduced_decoding': True}),
        }

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return `inputs`, (3, height, width), uint8, BGR, and `data_samples`."""
        image = self._read_for_views(number)
        boxes, scores, category_ids = self._boxes_of(number, image.shape)
        on_image = _overlap_image(boxes, image.shape) & (not image.reason)
        if not image.reason and not on_image.all():
            notes = filter(None, [image.note, BOX_OFF_IMAGE])
            image = replace(image, note='; '.join(notes))
        boxes, scores, category_ids = (
            boxes[on_image],
            scores[on_image],
            category_ids[on_image],
        )
        sample = self.described(number, image)
        sample.gt_instances = InstanceData(
            bboxes=boxes, bbox_scores=scores, category_ids=category_ids
        )
        # The network input is not the image but crops of it, which are cut fastest
        # where the channels of a pixel lie side by side, as in the decoded image.
        pixels = torch.from_numpy(np.ascontiguousarray(image.pixels)).permute(2, 0, 1)
        return dict(inputs=pixels, data_samples=sample)

    def described(self, number: int, image: ReadImage) -> PoseDataSample:
        """Describe an image and the outcome of reading it in a data sample.

        Args:
            number: The image.
            image: The outcome of reading it.
        """
        path = self._images.keys[number].as_py()
        metainfo = dict(
            img_id=number,
            img_path=str(self.img_root / file_name(path)),
            path=path,
            source=self._images.source_of(number).name,
            frame_before=self._frame_before(number),
            ori_shape=image.shape,
            status=FAILED if image.reason else OK,
            reason=image.reason or image.note,
            **({REDUCTION: image.reduction} if image.reduction > 1 else {}),
            # The same objects for all images: a worker sends them once a batch.
            **{name: self.metainfo[name] for name in SHARED_METAINFO},
        )
        sample = PoseDataSample()
        # The constructor copies each value.
        for name, value in metainfo.items():
            sample.set_field(value, name, field_type='metainfo')
        return sample

    def names(self) -> Iterator[tuple[str, int | str]]:
        """Iterate over the paths of images and their names in a detection file.

        The name is the id of a COCO json if no other image has it, else the path.
        """
        images = self._images.images
        for number, path in enumerate(images.paths):
            name = None if images.ids is None else images.ids[number]
            if name is None or images.numbers.get(name) != number:
                name = path
            yield path, name

    def _read_for_views(self, number: int) -> ReadImage:
        """Read an image, with no more pixels than the views of its boxes need."""
        sampling = self._sampling
        if sampling is None:
            return self.read(number)

        def reduction(shape: tuple[int, int]) -> int:
            boxes, *_ = self._boxes_of(number, shape)
            boxes = boxes[_overlap_image(boxes, shape)]
            return reduction_of(sampling.least_step(boxes, shape[::-1]))

        return self._images.read(number, self._reader.reducing(reduction))

    def _boxes_of(self, number: int, shape: tuple[int, int]) -> BoxColumns:
        """Boxes, scores and categories of an image of a height and width."""
        height, width = shape
        return self._boxes.of_image(self._numbers[number], width, height)

    def _frame_before(self, number: int) -> str | None:
        """Path of the previous frame; None if it was dropped."""
        if self.tracker is None or self._numbers[number] == 0:
            return None
        adjacent = self._numbers[number - 1] == self._numbers[number] - 1
        return self._images.frame_before(number) if adjacent else None


def _prefix(data_prefix: Mapping[str, Any] | None) -> str:
    if not data_prefix:
        return ''
    if not isinstance(data_prefix, Mapping):
        raise ConfigError(
            f"data_prefix must be a dict as dict(img='images/'), got {data_prefix!r}"
        )
    return text_option('data_prefix.img', data_prefix.get('img', ''))


def _default_source(img_root: Path, root: Path, ann_file: str, hidden: bool) -> Source:
    """Build the unnamed source of `data_prefix` and `ann_file`."""
    if ann_file:
        listed = (root / text_option('ann_file', ann_file)).absolute()
        return CocoSource(img_root, str(listed), name='')
    return FolderSource(img_root, name='', hidden=hidden)


def _overlap_image(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return (boxes[:, :2] < shape[::-1]).all(1) & (boxes[:, 2:] > 0).all(1)
