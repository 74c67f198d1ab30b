"""Fixtures: estimators whose heatmaps follow from the picture alone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.models import TopdownPoseEstimator
from mmpose.structures import PoseDataSample

from mmdistill.functional.crops import Crops
from tests.helpers.cell_reader import (
    CODECS,
    FIRST_AND_LAST_PIXEL,
    FLIP_INDICES,
    INPUT,
    CellReader,
)


@pytest.fixture(autouse=True)
def mmpose_scope() -> None:
    """Names without a scope are MMPose's."""
    init_default_scope('mmpose')


@pytest.fixture
def make_estimator() -> Callable[..., TopdownPoseEstimator]:
    """Build an estimator whose keypoint k is the brightest place of channel k.

    With `lopsided` its final layer is a random filter, so that a mirrored picture
    does not give the mirrored heatmaps.
    """

    def make(codec: str = 'UDP', lopsided: bool = False) -> TopdownPoseEstimator:
        estimator = TopdownPoseEstimator(
            backbone=dict(type=CellReader, first_and_last=FIRST_AND_LAST_PIXEL[codec]),
            head=dict(
                type='HeatmapHead',
                in_channels=3,
                out_channels=3,
                deconv_out_channels=None,
                final_layer=dict(kernel_size=3, padding=1),
                decoder=CODECS[codec],
            ),
            data_preprocessor=dict(
                type='PoseDataPreprocessor', mean=[0] * 3, std=[255] * 3
            ),
        )
        weight = torch.zeros(3, 3, 3, 3)
        weight[range(3), range(3), 1, 1] = 1
        if lopsided:
            generator = torch.Generator().manual_seed(3)
            weight = (weight + torch.rand(3, 3, 3, 3, generator=generator) / 9) / 2
        layer = estimator.head.final_layer
        layer.load_state_dict(dict(weight=weight, bias=torch.zeros(3)))
        return estimator.eval()

    return make


@pytest.fixture
def draw_person() -> Callable[..., np.ndarray]:
    """Draw keypoints as bumps of their own channel into a picture, in place."""

    def draw(picture: np.ndarray, keypoints: np.ndarray, sigma: float) -> np.ndarray:
        x, y = np.arange(picture.shape[1]), np.arange(picture.shape[0])[:, None]
        for channel, (at_x, at_y) in enumerate(keypoints):
            squares = (x - at_x) ** 2 + (y - at_y) ** 2
            picture[..., channel] += 200 * np.exp(-squares / (2 * sigma**2))
        return picture

    return draw


@pytest.fixture
def some_crops(draw_person) -> SimpleNamespace:
    """Six network inputs (`pixels`) that show persons, and where they lie (`crops`)."""
    random = np.random.default_rng(5)
    pictures = [
        draw_person(
            random.uniform(0, 20, (INPUT[1], INPUT[0], 3)),
            random.uniform((25, 25), (70, 100), (3, 2)),
            sigma=8,
        )
        for _ in range(6)
    ]
    pixels = np.stack(pictures).clip(0, 255).astype(np.float32)
    extents = torch.from_numpy(random.uniform(60, 200, (6, 1)) * [0.75, 1.0])
    centers = torch.from_numpy(random.uniform(50, 400, (6, 2)))
    return SimpleNamespace(
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        crops=Crops(centers.float(), extents.float(), extents.prod(1).float()),
    )


@pytest.fixture
def predict_crops() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """MMPose's own keypoints and scores of network inputs that are already cut."""

    def predict(
        estimator: TopdownPoseEstimator, given: SimpleNamespace, **test_cfg
    ) -> tuple[np.ndarray, np.ndarray]:
        estimator.test_cfg = test_cfg
        samples = [
            PoseDataSample(
                metainfo=dict(
                    input_center=center.numpy(),
                    input_scale=extent.numpy(),
                    input_size=INPUT,
                    flip_indices=FLIP_INDICES,
                ),
                gt_instances=InstanceData(
                    bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1)
                ),
            )
            for center, extent in zip(
                given.crops.centers, given.crops.extents, strict=True
            )
        ]
        batch = dict(inputs=list(given.pixels), data_samples=samples)
        instances = [s.pred_instances for s in estimator.test_step(batch)]
        return (
            np.concatenate([i.keypoints for i in instances]),
            np.concatenate([i.keypoint_scores for i in instances]),
        )

    return predict


@pytest.fixture
def some_images(draw_person) -> SimpleNamespace:
    """Two images (H, W, 3) with persons, their boxes and true keypoints.

    Persons stand apart, so that no crop shows the bumps of two; some boxes reach
    out of their image.
    """
    random = np.random.default_rng(11)
    images, boxes, keypoints = [], [], []
    for height, width, lefts in ((260, 700, (-20, 330)), (300, 420, (310,))):
        picture = np.zeros((height, width, 3))
        tops = random.uniform(20, 120, len(lefts))
        sides = random.uniform((90, 110), (120, 160), (len(lefts), 2))
        corners = np.stack([lefts, tops], axis=1)
        places = (
            corners[:, None]
            + random.uniform(0.3, 0.7, (len(lefts), 3, 2)) * (sides[:, None])
        )
        for person, side in zip(places, sides, strict=True):
            draw_person(picture, person, sigma=side.max() / 14)
        images.append(picture.clip(0, 255).round().astype(np.uint8))
        boxes.append(np.concatenate([corners, corners + sides], 1).astype(np.float32))
        keypoints.append(places)
    return SimpleNamespace(images=images, boxes=boxes, keypoints=keypoints)


@pytest.fixture
def pack() -> Callable[..., dict]:
    """Pack a whole image with its boxes as MMPose's pipelines do."""

    def packed(image: np.ndarray, boxes: np.ndarray, *transforms: dict) -> dict:
        results = dict(
            img=image,
            img_id=1,
            id=1,
            bbox=boxes,
            bbox_score=np.linspace(0.9, 0.5, len(boxes)).astype(np.float32),
            flip_indices=FLIP_INDICES,
        )
        return Compose([*transforms, dict(type='PackPoseInputs')])(results)

    return packed


@pytest.fixture
def predict_pipeline(pack) -> Callable[..., list[PoseDataSample]]:
    """MMPose's own predictions of an image, one data sample per box."""

    def predict(
        estimator: TopdownPoseEstimator,
        image: np.ndarray,
        boxes: np.ndarray,
        use_udp: bool,
        input_size: tuple[int, int] = INPUT,
    ) -> list[PoseDataSample]:
        cut = dict(type='TopdownAffine', input_size=input_size, use_udp=use_udp)
        items = [
            pack(image, box[None], dict(type='GetBBoxCenterScale'), cut)
            for box in boxes
        ]
        batch = {key: [item[key] for item in items] for key in items[0]}
        return estimator.test_step(batch)

    return predict
