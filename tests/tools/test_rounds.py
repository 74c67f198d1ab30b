"""Rounds on the toy recipe, with stand-ins for the tools but in one test."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.stages import rounds as module
from mmdistill.stages.rounds import train_rounds
from mmdistill.store import LabelStore
from tests.helpers.fresh_runs import forget_instances
from tests.helpers.rounds import (
    WORK_DIR,
    Killed,
    QuickTools,
    RealTools,
    rounds_recipe,
    tensors,
)
from tests.helpers.workshop import contents

ROOT = Path(WORK_DIR)
ALL = [
    *('label round_1/recipe', 'train round_1/seed_0', 'train round_1/seed_1'),
    *('label round_2/recipe', 'train round_2/seed_0', 'train round_2/seed_1'),
]


def run_again_until_done(recipe: Recipe, tools: RealTools) -> int:
    """Start the rounds until nothing is left; the number of kills."""
    kills = 0
    while True:
        try:
            train_rounds(recipe, tools)
        except Killed:
            kills += 1
        else:
            return kills


def made() -> tuple[dict[str, bytes], dict[str, dict[str, torch.Tensor]]]:
    """Bytes of the stores, and weights of the students."""
    stores = {
        str(folder): {
            name: data
            for name, data in contents(folder).items()
            if not name.startswith('.')
        }
        for folder in sorted(ROOT.glob('round_*/labels'))
    }
    students = sorted([*ROOT.glob('*/*/plain_model.pth'), ROOT / 'student.pth'])
    return stores, {str(path): tensors(path) for path in students}


@pytest.mark.slow
def test_rounds_that_are_killed_in_each_step_end_alike(workshop):
    """Bytes of the stores, weights of the students; the tools are the real ones."""
    recipe = rounds_recipe(number=2, students=2)
    assert run_again_until_done(recipe, RealTools()) == 0
    stores, students = made()
    ROOT.rename('whole')

    assert run_again_until_done(recipe, RealTools(kills=True)) == 6

    stores_again, students_again = made()
    assert stores == stores_again
    assert len(stores) == 2
    assert students.keys() == students_again.keys()
    assert len(students) == 5
    for path, weights in students.items():
        again = students_again[path]
        assert weights.keys() == again.keys()
        assert all(torch.equal(v, again[k]) for k, v in weights.items()), path
    assert (ROOT / 'student.pth').read_bytes() == Path('whole/student.pth').read_bytes()
    first, second, *others = (
        students[f'{WORK_DIR}/round_{n}/seed_{s}/plain_model.pth']
        for n in (1, 2)
        for s in (0, 1)
    )
    for one, other in ((first, second), (first, others[0])):
        assert any(not torch.equal(v, other[k]) for k, v in one.items())
    manifest = LabelStore(ROOT / 'round_2/labels').manifest
    assert len(manifest['teacher']['ensemble']) == 1


def test_each_step_is_run_once(workshop):
    recipe, tools = rounds_recipe(number=2, students=2), QuickTools()
    train_rounds(recipe, tools)
    assert tools.called == ALL
    again = QuickTools()
    train_rounds(recipe, again)
    assert again.called == []


def test_the_ledger_has_the_figures_of_each_round(workshop, logged):
    train_rounds(rounds_recipe(number=2), QuickTools())

    content = json.loads((ROOT / 'rounds.json').read_text())
    first, second = content['rounds']
    assert first['labels']['moved'] is None
    assert second['labels']['moved'] == 0  # the stand-in labels as before
    assert second['results'] == {'coco/AP': [0.6]}
    assert content['kept'] == dict(round=2, seed=0, reason='all 2 rounds are done')
    assert any(
        line.startswith('round 2 of 2: threshold')
        and line.endswith('0.0% of the kept keypoints moved, coco/AP 0.6000')
        for line in logged
    )


def test_the_labels_of_each_round_are_looked_at_before_they_train(workshop):
    """Once a round, and not again where its students are trained."""
    recipe, tools = rounds_recipe(number=2, students=2), QuickTools()

    def look(config):
        assert config.launcher == 'none'
        assert LabelStore(config.distill.store).complete
        tools.called.append(config.distill.store)

    train_rounds(recipe, tools, look)
    stores = [str(ROOT / f'round_{number}/labels') for number in (1, 2)]
    assert tools.called == [
        *(ALL[0], stores[0], *ALL[1:3]),
        *(ALL[3], stores[1], *ALL[4:]),
    ]
    again = QuickTools()
    train_rounds(recipe, again, look)
    assert tools.called.count(stores[0]) == 1


def test_the_student_that_is_kept_names_its_round(workshop):
    train_rounds(rounds_recipe('randomness.seed=7', number=2), QuickTools())
    student = torch.load(ROOT / 'student.pth', weights_only=True)
    config = (ROOT / 'round_2/seed_7.py').read_text()
    assert student['meta'] == dict(iter=2, round=2, seed=7, cfg=config)
    assert student['state_dict']['weights'].tolist() == [7, 2]


def test_labels_that_are_selected_anew_are_trained_on_anew(workshop):
    recipe = rounds_recipe(number=2)
    train_rounds(recipe, QuickTools())
    path = ROOT / 'round_2/labels/selection.json'
    path.write_text(path.read_text() + '\n')

    tools = QuickTools()
    train_rounds(recipe, tools)

    assert tools.called == ['train round_2/seed_0']
    assert len([*ROOT.glob('round_2/seed_0.*/plain_model.pth')]) == 1


def test_a_changed_setting_runs_again_what_it_made(workshop):
    train_rounds(rounds_recipe(number=2), QuickTools())
    tools = QuickTools()
    train_rounds(rounds_recipe('optim_wrapper.optimizer.lr=1', number=2), tools)
    # The stand-in trains the same weights, which label the same.
    assert tools.called == ['train round_1/seed_0', 'train round_2/seed_0']


def test_other_views_label_anew_and_the_old_labels_are_kept(workshop):
    train_rounds(rounds_recipe(number=2), QuickTools())
    tools = QuickTools()
    train_rounds(rounds_recipe('distill.views.scales=[1.0]', number=2), tools)
    assert tools.called == ['label round_1/recipe', 'label round_2/recipe']
    for number in (1, 2):
        assert len([*ROOT.glob(f'round_{number}/labels.*/manifest.json')]) == 1


def test_a_store_that_the_recipe_states_is_never_moved(workshop):
    """Its labeling refuses it where it was made otherwise."""
    mine = f'distill.store={WORK_DIR}/labels'
    train_rounds(rounds_recipe(mine, number=1), QuickTools())
    tools = QuickTools()
    views = 'distill.views.scales=[1.0]'
    train_rounds(rounds_recipe(mine, views, number=1), tools)
    assert tools.called == ['label round_1/recipe']
    assert [path.name for path in ROOT.glob('labels*')] == ['labels']


@pytest.mark.parametrize(
    'option',
    [
        *('train_dataloader.num_workers=1', 'distill.labeling.num_workers=1'),
        *('distill.views.forward_batch_size=3', 'log_level=WARNING'),
    ],
)
def test_what_changes_no_result_runs_nothing_again(workshop, option):
    train_rounds(rounds_recipe(number=2), QuickTools())
    tools = QuickTools()
    train_rounds(rounds_recipe(option, number=2), tools)
    assert tools.called == []


def test_more_rounds_go_on_after_those_that_are_done(workshop):
    train_rounds(rounds_recipe(number=1), QuickTools())
    tools = QuickTools()
    train_rounds(rounds_recipe(number=2), tools)
    assert tools.called == ['label round_2/recipe', 'train round_2/seed_0']


def test_what_was_removed_is_made_again(workshop):
    recipe = rounds_recipe(number=2)
    train_rounds(recipe, QuickTools())
    (ROOT / 'round_2/seed_0/plain_model.pth').unlink()
    (ROOT / 'round_1/labels/selection.json').unlink()
    tools = QuickTools()
    train_rounds(recipe, tools)
    assert tools.called == ['label round_1/recipe', 'train round_2/seed_0']


def test_labels_of_tools_label_are_those_of_the_first_round(workshop, tool):
    """It writes them before any round began."""
    recipe = rounds_recipe(number=2)
    Path('rounds.py').write_text(recipe.config.pretty_text)
    assert tool('label', 'rounds.py') == 0
    before = contents(ROOT / 'round_1/labels')
    tools = QuickTools()
    train_rounds(recipe, tools)
    assert tools.called[0] == 'label round_1/recipe'
    assert len([*ROOT.glob('round_1/labels*')]) == 1
    chunks = [name for name in before if name.startswith('chunks')]
    after = contents(ROOT / 'round_1/labels')
    assert {name: after[name] for name in chunks} == {
        name: before[name] for name in chunks
    }


def test_a_round_that_is_run_by_hand_is_not_run_again(workshop, tool):
    Path('rounds.py').write_text(rounds_recipe(number=2).config.pretty_text)
    forget_instances()
    assert tool('train', 'rounds.py', '--round', '1') == 0
    by_hand = tensors(ROOT / 'round_1/seed_0/plain_model.pth')
    forget_instances()
    assert tool('train', 'rounds.py', '--round', '1', '--write-config', 'one.py') == 0
    assert Config.fromfile('one.py').work_dir == f'{WORK_DIR}/round_1/seed_0'

    tools = QuickTools()
    train_rounds(Recipe.of(Config.fromfile('rounds.py')), tools)

    assert tools.called == ['label round_2/recipe', 'train round_2/seed_0']
    # It is what a process of its own trains.
    RealTools()(['tools/train.py', f'{WORK_DIR}/round_1/seed_0.py'], Path('log'))
    alone = tensors(ROOT / 'round_1/seed_0/plain_model.pth')
    assert all(torch.equal(value, alone[key]) for key, value in by_hand.items())


@pytest.mark.parametrize(
    ('moved', 'trained'), [([0.02, 0.5], 1), ([0.021, 0.019], 2), ([0.1, 0.1], 3)]
)
def test_no_student_is_trained_once_labels_settle(
    workshop, monkeypatch, moved, trained
):
    shares = iter(moved)
    monkeypatch.setattr(module, 'moved_share', lambda *_: next(shares))
    tools = QuickTools()
    train_rounds(rounds_recipe(number=3, stop=0.02), tools)
    assert sum(each.startswith('train') for each in tools.called) == trained
    kept = json.loads((ROOT / 'rounds.json').read_text())['kept']
    assert kept['round'] == trained
    assert ('nothing new to learn' in kept['reason']) == (trained < 3)


def test_the_kept_labels_of_a_stopped_round_are_reported(workshop):
    train_rounds(rounds_recipe(number=3, stop=0.5), QuickTools())
    rounds = json.loads((ROOT / 'rounds.json').read_text())['rounds']
    assert [each['results'] for each in rounds] == [{'coco/AP': [0.5]}, {}]


HOLDOUT = dict(
    ann_file='annotations/val.json',
    data_root='data/toy/',
    data_prefix=dict(img='images/val/'),
)


@pytest.mark.parametrize(
    ('scores', 'kept', 'rounds'),
    [((0.5, 0.6, 0.7), 3, 3), ((0.5, 0.4, 0.9), 1, 2), ((0.5, 0.6, 0.6), 2, 3)],
)
def test_the_best_on_held_out_images_is_kept(workshop, scores, kept, rounds):
    tools = QuickTools(scores)
    train_rounds(rounds_recipe(number=3, keep='best', holdout=HOLDOUT), tools)
    content = json.loads((ROOT / 'rounds.json').read_text())
    assert content['kept']['round'] == kept
    assert len(content['rounds']) == rounds
    assert [call for call in tools.called if call.startswith('test')] == [
        f'test round_{number}/holdout' for number in range(1, rounds + 1)
    ]
    tested = Config.fromfile(ROOT / 'round_1/holdout.py')
    assert tested.test_dataloader.dataset.ann_file == HOLDOUT['ann_file']
    assert tested.test_evaluator.ann_file == 'data/toy/annotations/val.json'


def test_boxes_are_found_once(workshop):
    """The first round's labeling detects, the others read its boxes."""
    options = ('distill.unlabeled.bbox_file=None',)
    recipe = rounds_recipe(*options, number=3)
    recipe.config.distill.detector = dict(
        config='d.py', checkpoint='d.pth', categories=['person']
    )
    train_rounds(Recipe.of(recipe.config), QuickTools())
    sections = [
        Config.fromfile(ROOT / f'round_{number}/recipe.py').distill
        for number in (1, 2, 3)
    ]
    boxes = f'{WORK_DIR}/round_1/labels_boxes'
    assert sections[0].detector.boxes == boxes
    assert [each.detector for each in sections[1:]] == [None, None]
    assert [each.unlabeled.detections for each in sections[1:]] == [boxes, boxes]
