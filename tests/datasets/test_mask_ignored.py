"""People whom the losses ignore: their regions through warps, mixes and heads."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpose.datasets.transforms import BottomupGetHeatmapMask
from mmpose.models.losses import BCELoss
from mmpose.structures import PoseDataSample

from mmdistill.datasets import MaskIgnored, PseudoImageDataset
from mmdistill.datasets.seeded_dataset import seeded
from mmdistill.errors import ConfigError
from mmdistill.selection.ignored_boxes import read_ignored_boxes
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.stages.image_students import fit_image_sources
from tests.helpers.finder_models import build_finder_model
from tests.helpers.image_students import SIDE, published, shrink

KEYPOINTS = 17
IGNORED, KEPT, ROOM = (250, 0, 0), (0, 250, 0), (30, 30, 30)
"""Colors of regions in pictures whose pixels say what is what."""
CODEC = dict(type='YOLOXPoseAnnotationProcessor')
FILTER = dict(type='FilterAnnotations', by_kpt=True, by_box=True, keep_empty=False)
ENDING = [
    dict(type='mmdistill.MaskIgnored', get_invalid=True),
    FILTER,
    dict(type='GenerateTarget', encoder=CODEC),
    dict(type='PackPoseInputs'),
]


def picture(seed, size=(80, 60)):
    """A sample whose ignored person is red, with a kept one in green over a part."""
    rng = np.random.default_rng(seed)
    width, height = size
    image = np.full((height, width, 3), ROOM, dtype=np.uint8)
    x, y = rng.integers(4, 30), rng.integers(4, 20)
    boxes = np.array([[x, y, x + 30, y + 24], [x + 18, y + 8, x + 44, y + 34]])
    for box, color in zip(boxes, (IGNORED, KEPT), strict=True):
        image[box[1] : box[3] + 1, box[0] : box[2] + 1] = color
    keypoints = np.zeros((2, KEYPOINTS, 2), dtype=np.float32)
    keypoints[1] = rng.uniform(boxes[1, :2], boxes[1, 2:], (KEYPOINTS, 2))
    visible = np.zeros((2, KEYPOINTS), dtype=np.float32)
    visible[1] = 1
    return dict(
        img=image,
        img_shape=(height, width),
        ori_shape=(height, width),
        img_id=seed,
        id=[0, 1],
        bbox=boxes.astype(np.float32),
        bbox_score=np.ones(2, dtype=np.float32),
        area=np.full(2, 500, dtype=np.float32),
        category_id=np.ones(2, dtype=np.int64),
        keypoints=keypoints,
        keypoints_visible=visible,
        flip_indices=list(range(KEYPOINTS)),
        invalid_segs=[],
    )


class Pictures:
    """Data set of pictures, as transforms that mix images ask for it."""

    def __len__(self):
        return 20

    def get_data_info(self, number):
        return picture(number)


def shown(pipeline, seed=3):
    """The packed sample of a picture after some transforms."""
    init_default_scope('mmpose')
    sample = dict(picture(seed), dataset=Pictures())
    with seeded(seed):
        return Compose(copy.deepcopy(pipeline))(sample)


def colored(sample, color):
    """Pixels of a color in a sample, which may be half mixed."""
    image = sample['inputs'].permute(1, 2, 0).numpy().astype(int)
    channel = int(np.argmax(color))
    others = np.delete(image, channel, axis=2).max(axis=2)
    return image[..., channel] - others > 60


def mask_of(sample):
    return sample['data_samples'].gt_fields.heatmap_mask[0].numpy().astype(bool)


def core(region, pixels=2):
    """A region without the pixels near its edge, where colors are mixed."""
    around = cv2.copyMakeBorder(
        region.astype(np.uint8), *[pixels] * 4, cv2.BORDER_REPLICATE
    )
    eroded = cv2.erode(around, np.ones((2 * pixels + 1,) * 2, np.uint8))
    return eroded[pixels:-pixels, pixels:-pixels].astype(bool)


def affine(**options):
    still = dict(shift_prob=0, rotate_prob=0, scale_prob=0, clip_border=True)
    still.update(input_size=(96, 96), bbox_keep_corner=False)
    return dict(type='BottomupRandomAffine', **{**still, **options})


FLIP = dict(type='RandomFlip', prob=1.0)
SCALED = affine(shift_prob=1, shift_factor=0.2, scale_prob=1, scale_factor=(0.8, 1.3))
PACK = dict(type='PackPoseInputs')
MOSAIC = dict(type='Mosaic', img_scale=(80, 80), pad_val=30.0)
MIX_UP = dict(
    type='YOLOXMixUp', img_scale=(96, 96), ratio_range=(0.8, 1.2), pad_val=30.0
)


@pytest.mark.parametrize(
    'steps',
    [[], [FLIP], [affine()], [SCALED, FLIP], [affine(scale_type='long'), FLIP]],
    ids=['plain', 'flipped', 'resized', 'warped', 'long'],
)
def test_the_mask_is_where_the_ignored_person_is(steps):
    sample = shown([*steps, *ENDING])

    red, mask = colored(sample, IGNORED), mask_of(sample)

    assert core(red).sum() > 50
    assert not (core(red) & ~mask).any()
    assert not (core(mask) & ~red).any()
    assert not (mask & core(colored(sample, KEPT))).any()
    assert len(sample['data_samples'].gt_instance_labels) == 1


@pytest.mark.parametrize('corners', [True, False], ids=['corners', 'box'])
def test_a_turned_person_is_covered_by_corners_or_by_a_box_that_holds_them(corners):
    turned = affine(rotate_prob=1, rotate_factor=40.0, bbox_keep_corner=corners)
    sample = shown([turned, *([*ENDING[:1], PACK] if corners else ENDING)])

    red, mask = colored(sample, IGNORED), mask_of(sample)

    assert core(red).sum() > 50
    assert not (core(red) & ~mask & ~kept_boxes(sample)).any()
    if corners:
        assert not (core(red) & ~mask).any()
        assert not (core(mask) & ~red).any()


def kept_boxes(sample):
    """Pixels in the boxes of the people that train, and next to them."""
    kept = np.zeros(sample['inputs'].shape[1:], dtype=bool)
    instances = sample['data_samples'].gt_instances
    seen = (instances.keypoints_visible.reshape(len(instances), -1) > 0).any(axis=1)
    if instances.bboxes.ndim != 2:
        return kept
    for x1, y1, x2, y2 in instances.bboxes[seen]:
        kept[max(int(y1), 0) : int(y2) + 2, max(int(x1), 0) : int(x2) + 2] = True
    return kept


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('mix_up', [False, True], ids=['mosaic', 'mosaic and mixup'])
def test_regions_of_all_images_that_are_mixed_are_in_the_mask(seed, mix_up):
    steps = [MOSAIC, affine(transform_mode='perspective')]
    sample = shown([*steps, *([MIX_UP] if mix_up else []), FLIP, *ENDING], seed)

    red, mask = colored(sample, IGNORED), mask_of(sample)

    # Boxes are not cut to their tile by the host, so they may cover more.
    assert core(red).sum() > 50
    assert not (core(red) & ~mask & ~kept_boxes(sample)).any()


def test_a_mask_of_the_host_is_joined():
    polygon = [[0, 40, 0, 59, 30, 59, 30, 40]]
    sample = dict(picture(3), invalid_segs=[polygon], input_size=(80, 60))
    host = BottomupGetHeatmapMask()(copy.deepcopy(sample))['heatmap_mask']
    own = MaskIgnored()(copy.deepcopy(sample))['heatmap_mask']
    assert not host.all()

    both = MaskIgnored()(dict(copy.deepcopy(sample), heatmap_mask=host))
    assert np.array_equal(both['heatmap_mask'], host & own)
    invalid = MaskIgnored(get_invalid=True)
    both = invalid(dict(copy.deepcopy(sample), heatmap_mask=~host))
    assert np.array_equal(both['heatmap_mask'], ~(host & own))


def test_cells_of_heatmaps_are_those_whose_center_is_covered():
    sample = picture(3)
    pixels = ~MaskIgnored()(copy.deepcopy(sample))['heatmap_mask']
    heatmaps = np.zeros((3, 20, 16), dtype=np.float32)
    masked = MaskIgnored()(dict(copy.deepcopy(sample), heatmaps=heatmaps))
    cells = ~masked['heatmap_mask']

    assert cells.shape == (20, 16)
    # Three and five pixels in a cell: its center is the pixel in the middle.
    assert np.array_equal(cells, pixels[1::3, 2::5])
    assert masked['bbox'].shape == (1, 4)
    assert masked['field_mapping_table'] == dict(heatmap_mask='heatmap_mask')
    with pytest.raises(ConfigError, match='heatmaps of 2 sizes'):
        MaskIgnored()(dict(copy.deepcopy(sample), heatmaps=[heatmaps, heatmaps]))


@pytest.mark.parametrize('name', ['YOLOX-Pose', 'RTMO'])
def test_one_stage_heads_have_no_loss_where_all_is_masked(name):
    head = build_finder_model(name).head.train()
    if name == 'YOLOX-Pose':
        head.loss_obj = BCELoss(use_target_weight=True, reduction='sum')
    torch.manual_seed(0)
    feats = tuple(torch.randn(1, 16, side, side) for side in (8, 4))

    def weights(mask):
        instances = InstanceData(
            bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]),
            labels=torch.zeros(1, dtype=torch.long),
            keypoints=torch.full((1, 3, 2), 20.0),
            keypoints_visible=torch.ones(1, 3),
            areas=torch.tensor([500.0]),
        )
        fields = PixelData(heatmap_mask=torch.from_numpy(mask[None]))
        sample = PoseDataSample()
        sample.gt_instance_labels, sample.gt_fields = instances, fields
        seen = []
        loss = head.loss_cls if name == 'RTMO' else head.loss_obj
        hook = loss.register_forward_pre_hook(lambda _, given: seen.append(given[2]))
        with torch.no_grad():
            head.loss(feats, [sample])
        hook.remove()
        return seen[0]

    nothing = np.zeros((64, 64), dtype=bool)
    assert (weights(nothing) == 1).all()
    # Poses that a prior predicts beyond the input are not ignored.
    assert weights(~nothing).mean() < 0.5


@pytest.mark.parametrize('name', ['rtmo-s', 'yoloxpose-s', 'dekr', 'cid'])
def test_both_sources_and_the_last_epochs_mask(name):
    config = masked_config(name)

    pipelines = [d['pipeline'] for d in config.train_dataloader.dataset.datasets]
    pipelines += [
        hook['new_train_pipeline']
        for hook in config.get('custom_hooks') or []
        if 'new_train_pipeline' in hook
    ]
    assert len(pipelines) == (3 if name.startswith(('rtmo', 'yolo')) else 2)
    for pipeline in pipelines:
        types = [step['type'] for step in pipeline]
        at = types.index('mmdistill.MaskIgnored')
        if name in ('dekr', 'cid'):
            assert types[at - 2 : at + 2] == [
                *('GenerateTarget', 'BottomupGetHeatmapMask'),
                *('mmdistill.MaskIgnored', 'PackPoseInputs'),
            ]
        else:
            assert types[at + 1] == 'FilterAnnotations'
            assert pipeline[at].get_invalid is True


def masked_config(name):
    """A published student whose pseudo-labels ignore rejected candidates."""
    config = shrink(published(name))
    labeled = config.train_dataloader.dataset
    pseudo = dict(
        type='mmdistill.PseudoImageDataset',
        pipeline=copy.deepcopy(labeled.pipeline),
        ignore_rejected=True,
    )
    config.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[labeled, pseudo]
    )
    fit_image_sources(config)
    return config


def test_a_pipeline_without_a_filter_gets_one():
    config = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    type='mmdistill.PseudoImageDataset',
                    ignore_rejected=True,
                    pipeline=[dict(type='GenerateTarget', encoder=dict(CODEC)), PACK],
                )
            ),
            model=dict(head=dict(num_classes=1)),
        )
    )
    fit_image_sources(config)
    steps = config.train_dataloader.dataset.pipeline
    assert [step.type for step in steps] == [
        *('mmdistill.MaskIgnored', 'FilterAnnotations', 'GenerateTarget'),
        'PackPoseInputs',
    ]


@pytest.fixture
def stored(tmp_path, write_images, make_rows, make_store, make_selection):
    """A store that keeps an instance of some images and rejects others beside it."""
    rows = make_rows((2, 0, None, 3, 1, 4))
    write_images(tmp_path / 'images', *(row.path for row in rows))
    for row in rows:
        if row.candidates is not None and len(row.candidates):
            row.candidates.instance_scores[:] = 0.2
            row.candidates.instance_scores[0] = 0.9
            start = np.arange(len(row.candidates))[:, None] * 12.0
            row.candidates.bboxes[:] = start + np.array([0, 0, 10, 10])
    store = make_store(tmp_path / 'store', rows, img_root=tmp_path / 'images')
    selection = make_selection(0.5, keypoint_thr=0.3)
    selection.write(store)
    return store, selection


def test_the_best_rejected_candidates_are_instances_without_keypoints(
    stored, coco_metainfo
):
    store, selection = stored
    init_default_scope('mmpose')
    labels = read_training_labels(store, selection)
    ignored = read_ignored_boxes(store, selection, labels)
    assert len(ignored) > 0
    plain, masked = (
        PseudoImageDataset(str(store.root), coco_metainfo, ignore_rejected=ignores)
        for ignores in (False, True)
    )
    assert len(plain) == len(masked)
    assert plain.num_labels == masked.num_labels
    total = 0
    for number in range(len(plain)):
        kept, both = plain.get_data_info(number), masked.get_data_info(number)
        count = len(kept['bbox'])
        others = ignored.bboxes[ignored.path_index == number]
        total += len(others)
        for key in ('bbox', 'keypoints', 'keypoints_visible', 'category_id', 'area'):
            assert len(both[key]) == count + len(others)
            assert both[key].dtype == kept[key].dtype
            np.testing.assert_array_equal(both[key][:count], kept[key])
        np.testing.assert_array_equal(both['bbox'][count:], others)
        assert not both['keypoints_visible'][count:].any()
        assert both['num_keypoints'][count:] == [0] * len(others)
        assert both['id'][count:] == [-1] * len(others)
    assert total == len(ignored)


@pytest.mark.parametrize('name', ['rtmo-s', 'yoloxpose-s', 'dekr', 'cid'])
def test_masks_reach_the_samples_of_a_published_student(stored, coco_metainfo, name):
    store, _ = stored
    init_default_scope('mmpose')
    config = masked_config(name)
    for pipeline in (
        config.train_dataloader.dataset.datasets[1].pipeline,
        *(
            hook['new_train_pipeline']
            for hook in config.get('custom_hooks') or []
            if 'new_train_pipeline' in hook
        ),
    ):
        dataset = PseudoImageDataset(
            str(store.root), coco_metainfo, pipeline, ignore_rejected=True
        )
        with seeded(1):
            samples = [dataset[number] for number in range(len(dataset))]
        masks = [mask_of(sample) for sample in samples]
        side = SIDE // 4 if name in ('dekr', 'cid') else SIDE
        assert all(mask.shape == (side, side) for mask in masks)
        assert any(0 < mask.mean() < 1 for mask in masks)
        for sample in samples:
            visible = sample['data_samples'].gt_instances.keypoints_visible
            assert (visible.reshape(len(visible), -1) > 0).any(axis=1).all()
