"""A teacher that finds the instances itself labels for a student that takes crops."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.store import LabelStore
from mmdistill.toy import write_toy_data
from tests.helpers.launches import launch_forked
from tests.helpers.recipes import RECIPES, REPOSITORY
from tests.helpers.workshop import QUICK, call_tool, contents

LABELS = Path('work_dirs/found/labels')
CHECKPOINT = 'work_dirs/finder.pth'
FINDER = """
default_scope = 'mmpose'
strides = (16, 32)
model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[100] * 3, std=[50] * 3, pad_size_divisor=32
    ),
    backbone=dict(
        type='CSPDarknet', deepen_factor=0.33, widen_factor=0.125, out_indices=(3, 4)
    ),
    neck=dict(
        type='ChannelMapper',
        in_channels=[64, 128],
        out_channels=16,
        kernel_size=1,
        num_outs=2,
    ),
    head=dict(
        type='YOLOXPoseHead',
        num_keypoints=17,
        featmap_strides=strides,
        head_module_cfg=dict(in_channels=16, feat_channels=16, stacked_convs=1),
        prior_generator=dict(
            type='MlvlPointGenerator', centralize_points=True, strides=list(strides)
        ),
        assigner=dict(type='SimOTAAssigner', dynamic_k_indicator='oks'),
        loss_cls=dict(type='BCELoss', reduction='sum'),
        loss_bbox=dict(type='IoULoss', reduction='sum'),
        loss_oks=dict(type='OKSLoss'),
        loss_vis=dict(type='BCELoss', reduction='mean'),
    ),
    test_cfg=dict(score_thr=0.9, nms_thr=0.3),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='CocoDataset',
        data_mode='bottomup',
        data_root='data/toy/',
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/val/'),
        test_mode=True,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='BottomupResize', input_size=(64, 64), pad_val=(114, 114, 114)),
            dict(
                type='PackPoseInputs',
                meta_keys=('id', 'img_id', 'ori_shape', 'input_size', 'input_center'),
            ),
        ],
    ),
)
test_cfg = dict()
test_evaluator = dict(
    type='CocoMetric', ann_file='data/toy/annotations/val.json', score_mode='bbox'
)
distill = dict(views=dict(resolutions=(1.0, 1.5)))
"""
STUDENT = f"""
_base_ = ['{RECIPES}/teacher.py', '{RECIPES.parents[1]}/_base_/distill.py']
work_dir = 'work_dirs/found'
distill = dict(
    teacher=dict(config='finder.py', checkpoint='{CHECKPOINT}'),
    unlabeled=dict(
        data_root='data/toy/',
        data_prefix=dict(img='images/unlabeled/'),
        ann_file='annotations/unlabeled.json',
    ),
    store='{LABELS}',
    views=dict(scales=(1.0,), resolutions=(1.0, 1.5)),
    labeling=dict(batch_size=2, chunk_size=2, num_workers=0),
    selection=dict(keypoint_thr=-1),
    schedule=None,
    worth_images=2,
)
"""


def write_teacher(path: str, seed: int = 0) -> None:
    """Random weights for the teacher; its scores are around a fourth."""
    init_default_scope('mmpose')
    torch.manual_seed(seed)
    model = MODELS.build(Config.fromfile('finder.py').model)
    torch.save(dict(state_dict=model.state_dict()), path)


@pytest.fixture(scope='module')
def labeled(tmp_path_factory) -> Path:
    """A workshop whose unlabeled images a finder has labeled."""
    root = tmp_path_factory.mktemp('found')
    write_toy_data(root / 'data/toy', labeled=4, unlabeled=5, val=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path('finder.py').write_text(FINDER)
        Path('student.py').write_text(STUDENT)
        Path('work_dirs').mkdir()
        write_teacher(CHECKPOINT)
        assert call_tool('label', 'student.py') == 0
    return root


@pytest.fixture
def workshop(labeled, tmp_path, monkeypatch) -> Path:
    """A copy of it to work in."""
    root = tmp_path / 'workshop'
    shutil.copytree(labeled, root)
    monkeypatch.chdir(root)
    return root


def test_images_have_the_boxes_that_were_found(workshop):
    labels = LabelStore(LABELS).read()

    assert len(labels.paths) == 5
    found = labels.candidates
    sizes = labels.sizes[labels.image_index]
    assert len(found) > 20
    # Its own threshold is 0.9, and no score is as high.
    assert 0.01 <= found.instance_scores.max() < 0.9
    assert (found.bboxes[:, 2:] > found.bboxes[:, :2]).all()
    assert (found.bboxes >= 0).all()
    assert (found.bboxes[:, 2:] <= sizes).all()
    whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    assert (found.bboxes != whole).any(axis=1).all()


def test_a_run_that_lost_chunks_ends_in_the_same_files(workshop):
    before = contents(LABELS)
    Path(LABELS, 'chunks', '000001.parquet').unlink()

    assert call_tool('label', 'student.py') == 0
    assert contents(LABELS) == before


@pytest.mark.slow
def test_two_processes_write_the_same_files_as_one(workshop):
    before = contents(LABELS)
    shutil.rmtree(LABELS)

    launch_forked(REPOSITORY / 'tools/label.py', 'student.py', '--launcher', 'pytorch')

    assert contents(LABELS) == before


def test_other_settings_are_told_apart(workshop, capfd):
    options = ['--cfg-options', 'distill.views.match_thr=0.4']

    assert call_tool('label', 'student.py', *options) == 2
    assert 'match_thr' in capfd.readouterr().err


def test_a_plan_counts_images(workshop, capsys):
    assert call_tool('plan', 'student.py') == 0

    text = capsys.readouterr().out
    assert '5 images, whose instances the teacher finds' in text
    assert '4 views of each image, the pixels of 6.5' in text
    assert 'made otherwise' not in text


def test_a_student_that_takes_crops_trains_on_them_and_they_are_audited(workshop):
    options = [*QUICK, 'train_cfg.max_iters=2', 'train_cfg.val_interval=2']

    assert call_tool('train', 'student.py', '--cfg-options', *options) == 0
    assert Path('work_dirs/found/plain_model.pth').is_file()
    worth = json.loads(Path(LABELS, 'label_worth.json').read_text())
    assert worth['boxes'] == 'the boxes that the teacher finds'
    assert 'more resolutions (distill.views.resolutions)' in worth['advice']

    assert call_tool('audit_labels', 'student.py') == 0
    audit = Path(LABELS, 'audit.json').read_text()
    assert '"boxes": "the boxes that the teacher finds"' in audit


def test_a_finder_is_evaluated_in_several_views(workshop):
    options = ['--tta', '--out', 'metrics.json']

    assert call_tool('test', 'finder.py', CHECKPOINT, *options) == 0
    assert 'coco/AP' in json.loads(Path('metrics.json').read_text())


def test_several_finders_label_and_are_evaluated_together(workshop):
    write_teacher('work_dirs/other.pth', seed=1)
    two = "teacher=[dict(config='finder.py', checkpoint=file) for file in FILES]"
    text = STUDENT.replace(
        f"teacher=dict(config='finder.py', checkpoint='{CHECKPOINT}')", two
    ).replace(str(LABELS), 'work_dirs/two/labels')
    files = f"FILES = ('{CHECKPOINT}', 'work_dirs/other.pth')"
    Path('two.py').write_text(f'{files}\n{text}')

    assert call_tool('label', 'two.py') == 0
    store = LabelStore('work_dirs/two/labels')
    manifest = store.manifest
    assert len(manifest['teacher']['ensemble']) == 1
    assert len(manifest['views']['ensemble']) == 1
    # Views of both that found an instance are of one candidate.
    alone, both = LabelStore(LABELS).read(), store.read()
    assert len(alone.candidates) < len(both.candidates) < 3 * len(alone.candidates)
    before = contents(store.root)
    Path(store.root, 'chunks', '000001.parquet').unlink()
    assert call_tool('label', 'two.py') == 0
    assert contents(store.root) == before

    options = ['--tta', '--out', 'metrics.json']
    checkpoints = (CHECKPOINT, 'work_dirs/other.pth')
    assert call_tool('test', 'finder.py', *checkpoints, *options) == 0
    both = json.loads(Path('metrics.json').read_text())
    assert call_tool('test', 'finder.py', CHECKPOINT, *options) == 0
    assert both.keys() == json.loads(Path('metrics.json').read_text()).keys()


def test_a_finder_that_gives_nan_alone_is_refused(workshop, capfd):
    checkpoint = torch.load(CHECKPOINT, weights_only=True)
    checkpoint['state_dict']['head.head_module.out_cls.0.bias'][:] = torch.nan
    torch.save(checkpoint, CHECKPOINT)
    shutil.rmtree(LABELS)

    assert call_tool('label', 'student.py') == 2
    assert 'finite' in capfd.readouterr().err
