"""Tests of views at other resolutions, against MMPose at that input size."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModule
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import KEYPOINT_CODECS
from torch.nn import functional as F

from mmdistill.errors import UserError
from mmdistill.functional.box_fit import BoxFit
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import View, to_view
from mmdistill.models import HeatmapFusionTTA
from tests.helpers.cell_reader import INPUT

FLIP_INDICES = [0, 1, 2]
SIZES = dict(input_size=INPUT, heatmap_size=(24, 32))
LARGE = dict(input_size=(144, 192), heatmap_size=(36, 48))
# Codecs of the same network at its own input size, and at 1.5 times that size: what is
# counted in cells grows, as between MMPose's configs for 256x192 and 384x288.
CODECS = {
    'MSRA': (dict(type='MSRAHeatmap', sigma=2.0), dict(sigma=3.0)),
    'DARK': (
        dict(type='MSRAHeatmap', sigma=2.0, unbiased=True),
        dict(sigma=3.0, blur_kernel_size=17),
    ),
    'UDP': (dict(type='UDPHeatmap', sigma=2.0), dict(sigma=3.0, blur_kernel_size=17)),
    'Megvii': (dict(type='MegviiHeatmap', kernel_size=11), dict(kernel_size=17)),
    'combined': (
        dict(type='UDPHeatmap', heatmap_type='combined', blur_kernel_size=3),
        dict(blur_kernel_size=5),
    ),
}


class Reader(BaseModule):
    """Reads an input of any size, bilinearly, where the cells of a codec lie."""

    def __init__(self, codec: str) -> None:
        super().__init__()
        self.udp = codec in ('UDP', 'combined')
        self.first = 2.0 if codec == 'Megvii' else 0.0

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        x, y = (
            torch.linspace(-1, 1, side // 4)
            if self.udp
            else (4 * torch.arange(side // 4) + self.first) * 2 / (side - 1) - 1
            for side in (inputs.shape[3], inputs.shape[2])
        )
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
        grid = grid.expand(len(inputs), -1, -1, -1)
        return (F.grid_sample(inputs, grid, align_corners=True),)


def make_estimator(
    codec: str, large: bool = False, lopsided: bool = False
) -> TopdownPoseEstimator:
    """Estimator that sees bumps of channel k as keypoint k.

    With `lopsided` its final layer mixes channels, cells and offsets.
    """
    own, grown = CODECS[codec]
    maps = 3 if codec == 'combined' else 1
    estimator = TopdownPoseEstimator(
        backbone=dict(type=Reader, codec=codec),
        head=dict(
            type='HeatmapHead',
            in_channels=3,
            out_channels=3 * maps,
            deconv_out_channels=None,
            final_layer=dict(kernel_size=3, padding=1),
            decoder={**own, **grown, **LARGE} if large else {**own, **SIZES},
        ),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[0] * 3, std=[255] * 3
        ),
    )
    weight = torch.rand(3 * maps, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    weight *= 0.05 if lopsided else 0
    weight[range(0, 3 * maps, maps), range(3), 1, 1] += 1
    layer = estimator.head.final_layer
    layer.load_state_dict(dict(weight=weight, bias=torch.zeros(3 * maps)))
    return estimator.eval()


def fuse(estimator, given, **settings):
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in given.images]
    wrapper = HeatmapFusionTTA(estimator, fold_batch_norm=False, **settings)
    return wrapper.fuse(images, given.boxes, FLIP_INDICES)


@pytest.mark.parametrize('codec', CODECS)
def test_one_resolution_alone_is_mmposes_prediction_at_that_size(
    codec, some_images, predict_pipeline
):
    fused = fuse(
        make_estimator(codec, lopsided=True),
        some_images,
        flip=False,
        resolutions=(1.5,),
    )
    use_udp = codec in ('UDP', 'combined')
    instances = [
        sample.pred_instances
        for image, boxes in zip(some_images.images, some_images.boxes, strict=True)
        for sample in predict_pipeline(
            make_estimator(codec, large=True, lopsided=True),
            image,
            boxes,
            use_udp,
            (144, 192),
        )
    ]
    np.testing.assert_allclose(
        fused.keypoints, np.concatenate([i.keypoints for i in instances]), atol=0.02
    )
    np.testing.assert_allclose(
        fused.keypoint_scores,
        np.concatenate([i.keypoint_scores for i in instances]),
        atol=0.002,
    )


RESOLUTIONS = (0.75, 1.0, 1.5)


def heatmaps_of(estimator, image, box, resolution):
    """Heatmaps of one crop in an input of another size, cut by MMPose."""
    width, height = (round(side * resolution) for side in INPUT)
    results = dict(img=image, bbox=box[None], bbox_score=np.ones(1))
    cut = Compose(
        [
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=(width, height), use_udp=True),
        ]
    )(results)
    pixels = torch.from_numpy(cut['img']).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return estimator.head.forward(estimator.extract_feat(pixels))


def test_views_are_averaged_on_the_finest_grid(some_images):
    """Against torch's own resampling: the ends of UDP heatmaps are those of the crop.

    MMPose decodes with a stride of W / (w - 1) what it encodes with (W - 1) / (w - 1),
    which shifts cells of different grids by less than a hundredth of a crop.
    """
    estimator = make_estimator('UDP')
    fused = fuse(estimator, some_images, flip=False, resolutions=RESOLUTIONS)
    expected = []
    for image, boxes in zip(some_images.images, some_images.boxes, strict=True):
        for box in boxes:
            views = [
                F.interpolate(
                    heatmaps_of(estimator, image, box, resolution),
                    (48, 36),
                    mode='bilinear',
                    align_corners=True,
                )
                for resolution in RESOLUTIONS
            ]
            large = make_estimator('UDP', large=True).head
            (instances,) = large.decode(sum(views) / 3)
            extents = (
                np.array([0.75, 1.0])
                * max((box[2:] - box[:2]) * [1 / 0.75, 1.0])
                * 1.25
            )
            center = (box[:2] + box[2:]) / 2
            shares = instances.keypoints / (144, 192)
            expected.append(center + (shares - 0.5) * extents)
    np.testing.assert_allclose(fused.keypoints, np.concatenate(expected), atol=0.3)


@pytest.mark.parametrize('codec', CODECS)
def test_resolutions_with_other_views_find_the_keypoints(codec, some_images):
    fused = fuse(
        make_estimator(codec),
        some_images,
        scales=(0.8, 1.0),
        rotations=(20,),
        resolutions=RESOLUTIONS,
    )
    truth = np.concatenate(some_images.keypoints)
    errors = np.linalg.norm(fused.keypoints - truth, axis=-1)
    # Without offsets the combined codec is as exact as its cells, of 5 pixels.
    assert errors.max() < (4 if codec == 'combined' else 2.5)
    assert fused.keypoint_agreement.min() > 0.5
    assert fused.known.all()


# Input pixels at resolution 1.5. MSRA and Megvii encode whole cells, of 8 such pixels
# at 0.75, and decode quarters.
EXACT = {'MSRA': 5.5, 'DARK': 0.2, 'UDP': 0.2, 'Megvii': 5.5, 'combined': 0.2}


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('resolution', RESOLUTIONS)
@pytest.mark.parametrize('codec', CODECS)
def test_what_a_codec_encodes_at_one_resolution_is_decoded_on_the_grid(
    codec, resolution, flip
):
    wrapper = HeatmapFusionTTA(make_estimator(codec), resolutions=RESOLUTIONS)
    adapter, view = wrapper.adapter, View(resolution=resolution, flip=flip)
    shown = adapter.frame_of(view)
    cells = [side // 4 for side in (shown.width, shown.height)]
    sizes = dict(input_size=(shown.width, shown.height), heatmap_size=cells)
    encoder = KEYPOINT_CODECS.build({**CODECS[codec][0], **sizes})
    points = np.random.default_rng(0).uniform(0.3, 0.7, (6, 3, 2))
    positions = to_view(view, shown, torch.from_numpy(points)).numpy() * shown.spans
    maps = np.stack(
        [
            encoder.encode(pose[None].astype(np.float32), np.ones((1, 3)))['heatmaps']
            for pose in positions
        ]
    )
    evidence = adapter.evidence(torch.from_numpy(maps))
    fusion = adapter.start(6, FLIP_INDICES, 'mean')
    crops = Crops(torch.zeros(6, 2), torch.ones(6, 2), torch.ones(6))
    fusion.add(view, evidence, crops, EVERY)
    found = fusion.decode().keypoints
    # MMPose decodes the far end of a UDP heatmap to W, not to W - 1.
    expected = points * (adapter.frame.width, adapter.frame.height)
    assert np.abs(found - expected).max() < EXACT[codec]


@pytest.mark.parametrize('codec', ['DARK', 'Megvii', 'combined'])
def test_a_mirrored_view_mirrors_at_its_own_width(codec, some_images):
    """Mirrored heatmaps of a symmetric network lie where the others do."""
    estimator = make_estimator(codec)
    settings = dict(resolutions=(1.5,), fold_batch_norm=False)
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in some_images.images]
    plain, both = (
        HeatmapFusionTTA(estimator, flip=flip, **settings).fuse(
            images, some_images.boxes, FLIP_INDICES
        )
        for flip in (False, True)
    )
    np.testing.assert_allclose(both.keypoints, plain.keypoints, atol=0.6)
    assert np.abs(both.keypoints - plain.keypoints).mean() < 0.2


def test_views_can_be_fused_on_a_stated_grid(some_images):
    estimator = make_estimator('DARK')
    wrapper = HeatmapFusionTTA(estimator, resolutions=(1.5,), fusion_resolution=1.0)
    assert wrapper.adapter.frame == HeatmapFusionTTA(estimator).adapter.frame
    fused = fuse(estimator, some_images, resolutions=(1.5,), fusion_resolution=1)
    truth = np.concatenate(some_images.keypoints)
    assert np.linalg.norm(fused.keypoints - truth, axis=-1).max() < 2.5


def test_fused_heatmaps_are_those_of_the_finest_grid(some_images):
    estimator = make_estimator('MSRA')
    adapter = HeatmapFusionTTA(estimator, resolutions=RESOLUTIONS).adapter
    fusion = adapter.start(1, FLIP_INDICES, 'mean')
    crops = Crops(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1))
    for resolution, cells in ((0.75, (24, 18)), (1.0, (32, 24)), (1.5, (48, 36))):
        heatmaps = torch.rand(1, 3, *cells)
        fusion.add(View(resolution=resolution), (heatmaps,), crops, EVERY)
        assert fusion.result().shape == (1, 3, 48, 36)


@pytest.fixture
def forwards():
    """An estimator and the (number, height, width) of its forward passes."""
    estimator, shapes = make_estimator('UDP'), []
    estimator.backbone.register_forward_pre_hook(
        lambda module, inputs: shapes.append((len(inputs[0]), *inputs[0].shape[2:]))
    )
    return estimator, shapes


def test_a_forward_pass_has_one_size_and_no_more_pixels_than_asked_for(
    forwards, some_images
):
    estimator, shapes = forwards
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in some_images.images]
    wrapper = HeatmapFusionTTA(
        estimator,
        fold_batch_norm=False,
        resolutions=(0.5, 1.0, 2.0),
        forward_batch_size=8,
    )
    shapes.clear()
    wrapper.fuse(images, some_images.boxes, FLIP_INDICES)
    # Blocks of 2 and 1 instances: at 2 an input has the pixels of four.
    expected = [
        (4, 64, 48), (4, 128, 96), *[(2, 256, 192)] * 2,
        (2, 64, 48), (2, 128, 96), (2, 256, 192),
    ]  # fmt: skip
    assert sorted(shapes) == sorted(expected)


def test_small_boxes_are_not_shown_smaller_nor_large_ones_larger(forwards, some_images):
    estimator, shapes = forwards
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in some_images.images]
    boxes = np.concatenate(some_images.boxes)
    middle = float(np.median((boxes[:, 2:] - boxes[:, :2]).prod(1)))
    wrapper = HeatmapFusionTTA(
        estimator,
        fold_batch_norm=False,
        flip=False,
        resolutions=RESOLUTIONS,
        **dict(size_dependent=True, small_area=middle, large_area=middle),
    )
    shapes.clear()
    wrapper.fuse(images, some_images.boxes, FLIP_INDICES)
    by_height = {height: 0 for _, height, _ in shapes}
    for count, height, _ in shapes:
        by_height[height] += count
    assert by_height == {96: 2, 128: 3, 192: 1}


def test_a_label_does_not_depend_on_the_others(some_images):
    estimator = make_estimator('DARK')
    together = fuse(estimator, some_images, resolutions=RESOLUTIONS)
    alone = fuse(
        estimator,
        SimpleNamespace(images=some_images.images[1:], boxes=some_images.boxes[1:]),
        resolutions=RESOLUTIONS,
    )
    np.testing.assert_allclose(together.keypoints[2:], alone.keypoints, atol=1e-3)


def test_the_manifest_names_the_inputs_and_is_as_before_without_resolutions():
    estimator = make_estimator('UDP')
    plain = HeatmapFusionTTA(estimator).provenance()
    both = HeatmapFusionTTA(estimator, resolutions=(1.0, 1.5)).provenance()
    assert set(plain) == {
        *('views', 'fusion', 'areas', 'padding', 'use_udp', 'precision'),
        'agreement',
    }
    assert plain['views'] == ['1', '1 flipped']
    assert both['views'] == ['1', '1 flipped', '1 at 1.5', '1 at 1.5 flipped']
    assert both['input_sizes'] == {'1': [96, 128], '1.5': [144, 192]}
    assert both['fused_input_size'] == [144, 192]


def test_work_is_counted_in_pixels():
    wrapper = HeatmapFusionTTA(make_estimator('UDP'), resolutions=(1.0, 1.5))
    assert wrapper.views_per_box == 4
    assert wrapper.work_per_box == pytest.approx(2 * (1 + 1.5**2))


def test_a_box_is_fitted_in_the_plain_view_and_fused_at_all_resolutions(
    forwards, some_images
):
    estimator, shapes = forwards
    wrapper = HeatmapFusionTTA(estimator, fold_batch_norm=False, resolutions=(1.5,))
    wrapper.box_fit = BoxFit((0.1,) * 4, least=1, score_thr=0.1)
    (image, boxes) = some_images.images[1], some_images.boxes[1]
    results = dict(img=image, img_id=1, id=1, bbox=boxes, bbox_score=np.ones(1))
    item = Compose([dict(type='PackPoseInputs')])(
        dict(results, flip_indices=FLIP_INDICES)
    )
    shapes.clear()

    (sample,) = wrapper.test_step(pseudo_collate([item]))

    assert shapes == [(2, 128, 96), (2, 192, 144)]
    assert wrapper.work_per_box == pytest.approx(2 + 2 * 2.25)
    errors = sample.pred_instances.keypoints - some_images.keypoints[1]
    assert np.abs(errors).max() < 2.5


def test_without_the_resolution_one_the_keypoints_are_counted_all_the_same():
    wrapper = HeatmapFusionTTA(make_estimator('combined'), resolutions=(1.5,))
    assert wrapper.num_keypoints == 3


@pytest.mark.parametrize('resolution', [0, -1.0, '2', float('nan'), float('inf')])
def test_an_invalid_fusion_resolution_is_refused(resolution):
    with pytest.raises(UserError, match='fusion_resolution must be a positive number'):
        HeatmapFusionTTA(make_estimator('UDP'), fusion_resolution=resolution)


@pytest.mark.parametrize(
    ('resolutions', 'message'),
    [
        ((), 'at least one resolution'),
        (1.5, 'a resolution must be a number in a list, got 1.5'),
        ((0.0,), 'a resolution must be positive and finite'),
        (
            (1.5, 1.51),
            r'resolutions 1\.5 and 1\.51 are the same input of 144x192 pixels, since '
            'its sides must be multiples of 4',
        ),
        ((1.0, 1.005), r'resolutions 1 and 1\.005 are the same input of 96x128'),
    ],
)
def test_invalid_resolutions_are_refused(resolutions, message):
    with pytest.raises(UserError, match=message):
        HeatmapFusionTTA(make_estimator('UDP'), resolutions=resolutions)
