"""A detector and the poses in its boxes by one command, with the real tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction

from mmdistill import stages
from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.pipeline import Distillation
from mmdistill.plans import make_plan
from mmdistill.reports.show import check_shown
from mmdistill.selection.selection import read_selection
from mmdistill.stages.joint import LABEL, TRAIN, run_jointly
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS
from tests.helpers.recipes import DETECTOR, STUDENT
from tests.helpers.rounds import Killed, RealTools
from tests.helpers.workshop import DISTILL, QUICK, contents

ROOT = Path('work_dirs/joint')
BOXES, LABELS = Path('work_dirs/toy/labels_boxes'), Path('work_dirs/toy/joint')
OPTIONS = (
    *(each for each in DISTILL if 'detector' not in each and 'bbox_file' not in each),
    *('distill.detector.checkpoint=detector.pth', f'distill.store={LABELS}'),
    *('distill.detector.config=quick.py', f'distill.detector.boxes={BOXES}'),
    *('distill.detector.distill=True', 'distill.worth_images=0'),
    'distill.selection.score_thr=-1',
)
QUICK_DETECTOR = f"""
_base_ = '{DETECTOR}'
train_cfg = dict(max_iters=2, val_interval=2)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
default_hooks = dict(checkpoint=dict(interval=1))
val_dataloader = val_cfg = val_evaluator = None
"""


@pytest.fixture
def recipe(workshop, detector_file) -> Recipe:
    """The toy recipe, whose detector is distilled too, in few iterations."""
    shutil.copy(detector_file, 'detector.pth')
    Path('quick.py').write_text(QUICK_DETECTOR)
    config = Config.fromfile(STUDENT)
    order_keypoints(config)
    config.work_dir = str(ROOT)
    config.distill.schedule = None
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    for option in (*QUICK, *OPTIONS, 'train_cfg.max_iters=2'):
        key, _, value = option.partition('=')
        config.merge_from_dict({key: DictAction._parse_iterable(value)})
    return Recipe.of(config)


def students() -> dict[str, dict[str, torch.Tensor]]:
    """Weights of both students."""
    files = (ROOT / 'plain_model.pth', ROOT / 'detector/plain_model.pth')
    return {
        str(path): torch.load(path, weights_only=True)['state_dict'] for path in files
    }


def stores() -> dict[str, bytes]:
    """Bytes of both stores."""
    return {
        f'{root}/{name}': data
        for root in (BOXES, LABELS)
        for name, data in contents(root).items()
        if not name.startswith('.')
    }


def test_both_are_distilled_in_the_same_boxes(recipe):
    tools = RealTools()
    run_jointly(recipe, TRAIN, tools)

    assert tools.called == [
        f'tools/train.py {ROOT}/detector.py',
        f'tools/train.py {ROOT}/poses.py',
    ]
    boxes, poses = LabelStore(BOXES, BOX_LABELS), LabelStore(LABELS)
    found, labeled = boxes.read(), poses.read()
    assert read_selection(boxes).unlabeled.kept > 0
    assert len(found.candidates.bbox_agreement) > 0
    known = {tuple(box) for box in found.candidates.bboxes.tolist()}
    assert len(labeled.candidates) > 0
    assert {tuple(box) for box in labeled.candidates.bboxes.tolist()} <= known
    assert boxes.manifest['detector'] == poses.manifest['about']['detector']
    before = torch.load('detector.pth', weights_only=False)['state_dict']
    detector = students()[f'{ROOT}/detector/plain_model.pth']
    assert detector.keys() == before.keys()
    assert any(not torch.equal(before[key], detector[key]) for key in before)

    run_jointly(recipe, TRAIN, tools)

    assert len(tools.called) == 2
    # Nothing was moved aside.
    assert [path.name for path in ROOT.parent.glob(f'{ROOT.name}*')] == [ROOT.name]


def test_what_is_killed_in_each_step_ends_alike(recipe):
    run_jointly(recipe, TRAIN, RealTools())
    whole, weights = stores(), students()
    shutil.rmtree(ROOT)
    for store in (BOXES, LABELS):
        shutil.rmtree(store)
    tools, kills = RealTools(kills=True), 0

    while True:
        try:
            run_jointly(recipe, TRAIN, tools)
        except Killed:
            kills += 1
        else:
            break

    assert kills == 2
    assert stores() == whole
    for path, again in students().items():
        assert all(torch.equal(v, again[k]) for k, v in weights[path].items()), path


def test_labels_of_both_are_made_without_training(recipe):
    tools = RealTools()

    run_jointly(recipe, LABEL, tools)

    assert [command.split()[0] for command in tools.called] == [LABEL] * 2
    assert LabelStore(LABELS).complete
    assert not (ROOT / 'detector').joinpath('last_checkpoint').exists()


def test_the_plan_has_the_rows_of_both(recipe):
    plan = make_plan(recipe.config)

    rows = dict(plan.rows)
    assert 'boxes on 6 images' in rows['detector: labeled']
    assert rows['detector: forward passes'] == '2 views of each image: 14'
    assert 'labeling detects them first' in rows['poses: boxes']
    assert plan.missing == []


def test_validation_images_of_either_are_left_out_of_both(recipe):
    config = recipe.config
    files = dict(ann_file='a.json', img_root='images/a')
    config.distill.leak_guard = [files]
    run_jointly(Recipe.of(config), LABEL, RealTools())

    guards = [
        Config.fromfile(ROOT / f'{name}.py').distill.leak_guard
        for name in ('detector', 'poses')
    ]

    assert guards[0] == guards[1] == [files]


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        (dict(tta=True), 'merges its views by voting'),
        (dict(config=str(STUDENT)), "not the scope of MMDetection's models"),
        (dict(categories=['mouse']), 'poses are wanted of mouse'),
    ],
)
def test_what_cannot_be_distilled_is_refused(recipe, option, sentence):
    recipe.config.distill.detector.update(option)

    with pytest.raises(UserError, match=sentence):
        run_jointly(Recipe.of(recipe.config), LABEL, RealTools())


def test_tools_of_one_distillation_name_the_files_of_both(recipe):
    with pytest.raises(UserError, match=r'for detector\.py and for poses\.py'):
        Distillation(recipe, Path('recipe.py'))
    with pytest.raises(UserError, match='found with them: use tools/label'):
        stages.detect(recipe.config)
    with pytest.raises(UserError, match='is two trainings'):
        check_shown(recipe.config, 2)
