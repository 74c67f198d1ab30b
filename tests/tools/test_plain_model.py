"""A training leaves one plain file, which stock MMPose loads under any torch."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.visualization import PoseLocalVisualizer

from mmdistill.config.text import TextConfig
from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from tests.helpers.launches import run_forked
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, MMPOSE, QUICK

AVERAGED = (
    "custom_hooks=[dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.5)]"
)


def plain(folder):
    # No list of what may be loaded is in force here.
    return torch.load(Path(folder, MODEL_FILE), map_location='cpu', weights_only=True)


def checkpoint(path):
    return torch.load(path, map_location='cpu', weights_only=False)


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key])


@pytest.fixture
def trained(workshop, tool):
    """Train the toy student for four iterations; returns its folder."""

    def trained(folder='trained', *options, recipe=STUDENT):
        section = DISTILL if recipe != TEACHER else ()
        options = ('--cfg-options', *section, *QUICK, *options)
        assert tool('train', recipe, '--work-dir', folder, *options) == 0
        return Path(folder)

    return trained


def test_the_file_holds_the_last_weights_and_plain_metainfo(trained, coco_metainfo):
    folder = trained()
    saved, model = checkpoint(folder / 'iter_4.pth'), plain(folder)

    assert_same_weights(model['state_dict'], saved['state_dict'])
    assert model['state_dict']._metadata == saved['state_dict']._metadata
    assert model['meta']['iter'] == 4
    for key, value in parse_pose_metainfo(dict(coco_metainfo)).items():
        np.testing.assert_array_equal(model['meta']['dataset_meta'][key], value)
    with pytest.raises(pickle.UnpicklingError):
        # What this is for.
        torch.load(folder / 'iter_4.pth', weights_only=True)


def test_a_teacher_leaves_one_too_of_its_best_checkpoint(trained):
    folder = trained(
        'teacher',
        *('default_hooks.checkpoint.save_best=coco/AP', 'train_cfg.val_interval=2'),
        # From the second validation on the weights are useless.
        'optim_wrapper.optimizer.lr=1000',
        recipe=TEACHER,
    )
    (best,) = folder.glob('best_*_iter_2.pth')
    assert_same_weights(plain(folder)['state_dict'], checkpoint(best)['state_dict'])


def test_averaged_weights_are_those_that_the_file_has(trained):
    Path('averaged.py').write_text(f'_base_ = {STUDENT!r}\n{AVERAGED}\n')
    folder = trained(recipe='averaged.py')
    saved = checkpoint(folder / 'iter_4.pth')
    averages = saved['ema_state_dict']
    # MMEngine swaps them: the checkpoint's own weights are the averages.
    changed = [
        key
        for key, value in saved['state_dict'].items()
        if not torch.equal(value, averages[f'module.{key}'])
    ]
    assert changed
    assert_same_weights(plain(folder)['state_dict'], saved['state_dict'])


def test_equal_trainings_leave_equal_files(trained):
    one, other = (trained(name, 'work_dir=same') for name in ('one', 'other'))
    contents = [plain(folder) for folder in (one, other)]
    assert_same_weights(*(content['state_dict'] for content in contents))
    texts = [repr(content['meta']).replace('other', 'one') for content in contents]
    assert texts[0] == texts[1]


def test_a_stopped_training_leaves_what_it_saved_and_a_resumed_one_the_rest(
    trained, tool
):
    folder = trained('trained', 'train_cfg.max_iters=2')
    first = plain(folder)
    # As a run that was killed while it wrote.
    torn = folder / f'.{MODEL_FILE}.123.part'
    torn.write_bytes(b'PK half a file')
    options = ('--cfg-options', *DISTILL, *QUICK)
    arguments = ('--work-dir', str(folder), '--resume')

    assert tool('train', STUDENT, *arguments, *options) == 0

    saved = checkpoint(folder / 'iter_4.pth')
    assert_same_weights(plain(folder)['state_dict'], saved['state_dict'])
    assert first['meta']['iter'] == 2
    assert not torn.exists()


STOCK = """
import runpy
import sys
import torch
from mmpose.apis import init_model

file, tools = sys.argv[1:]
model = init_model('stock.py', file, device='cpu')
assert model.dataset_meta['flip_indices'][1] == 2
assert model.dataset_meta['keypoint_id2name'][0] == 'nose'
torch.save(model.state_dict(), 'loaded.pth')
sys.argv = ['publish', file, 'published.pth']
runpy.run_path(f'{tools}/misc/publish_model.py', run_name='__main__')
sys.argv = ['test', 'stock.py', file, '--work-dir', 'tested', '--out', 'metrics.json']
runpy.run_path(f'{tools}/test.py', run_name='__main__')
assert not any(name.startswith('mmdistill') for name in sys.modules)
"""


def test_stock_mmpose_loads_publishes_and_tests_the_file(trained):
    file = str(trained() / MODEL_FILE)
    Path('stock.py').write_text(TextConfig.of(Config.fromfile(TEACHER)).pretty_text)

    Path('stock_tools.py').write_text(STOCK)
    run_forked(Path('stock_tools.py').absolute(), file, str(MMPOSE / 'tools'))

    loaded = torch.load('loaded.pth', weights_only=True)
    assert_same_weights(plain('trained')['state_dict'], loaded)
    assert list(Path().glob('published*.pth'))
    assert Path('metrics.json').is_file()


def test_poses_are_inferred_and_drawn_with_its_metainfo(trained):
    file = str(trained() / MODEL_FILE)
    model = init_model(Config.fromfile(TEACHER), file, device='cpu')
    image = cv2.imread(str(next(Path('data/toy/images/val').iterdir())))

    (sample, *_) = inference_topdown(model, image)
    visualizer = PoseLocalVisualizer()
    visualizer.set_dataset_meta(model.dataset_meta)
    drawn = visualizer.add_datasample(
        'pose', image, sample, draw_gt=False, draw_bbox=True, kpt_thr=-1
    )

    assert sample.pred_instances.keypoints.shape == (1, 17, 2)
    assert (drawn != image).any()
