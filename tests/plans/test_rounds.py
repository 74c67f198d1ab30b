"""The cost of all rounds together."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.plans import make_plan, plan
from mmdistill.plans.rounds import RoundCost, round_costs, round_rows

FIRST = RoundCost(labeling=60, training=600, num_bytes=2e6)


def test_rounds_add_up():
    costs = [FIRST, RoundCost(labeling=120, training=300, num_bytes=1e6)]
    assert dict(round_rows(costs, students=2)) == {
        'rounds': '2 with 2 students each: 4 trainings, 2 label stores',
        'all labeling': 'about 3 min: 60 s, 2 min',
        'all training': 'about 30 min: 20 min, 10 min',
        'all stores': 'about 3 MB',
        'all rounds': 'about 33 min on this machine with one process',
    }


@pytest.mark.parametrize(
    ('settings', 'measured'),
    [
        ([], 1),
        ([{}, dict(mixing=dict(labeled_share=0.5))], 3),
        ([{}] * 3 + [dict(mixing=dict(labeled_share=0.5))], 2),
    ],
)
def test_rounds_of_equal_settings_are_measured_once(settings, measured):
    section = dict(
        teacher=dict(), unlabeled=dict(), rounds=dict(number=4, settings=settings)
    )
    recipe = Recipe.of(Config(dict(distill=section, work_dir='work')))
    seen = []

    def measure(of_round):
        (teacher,) = of_round.distill.teachers
        assert Path(teacher.config).is_file()
        seen.append(of_round)
        return RoundCost(len(seen), 1, 1)

    costs = round_costs(recipe, FIRST, measure)

    assert len(costs) == 4
    assert costs[0] == FIRST
    assert len(seen) == measured
    assert not Path('work').exists()


def test_the_plan_tells_the_hours_of_all_rounds(config, monkeypatch):
    monkeypatch.setattr(plan, 'time_training_step', lambda config: 60.0)
    config.train_dataloader.batch_size = 5
    config.train_cfg.max_iters = 60
    config.work_dir = 'work'
    longer = dict(train_cfg=dict(max_iters=120))
    config.distill.rounds = dict(number=2, students=3, settings=[{}, longer])

    rows = dict(make_plan(config).rows)

    # An hour a student, and two in the second round.
    assert rows['training'].startswith('about 60 min')
    assert rows['all training'] == 'about 9.0 h: 3.0 h, 6.0 h'
    assert rows['rounds'].startswith('2 with 3 students each: 6 trainings')
    assert rows["labels' worth"].endswith('labeled images, in each round')
    assert not Path('work').exists()


def test_a_plan_without_rounds_has_no_such_rows(config):
    config.train_dataloader.batch_size = 5
    assert 'rounds' not in dict(make_plan(config).rows)


def test_held_out_images_that_are_missing_are_listed(config):
    config.distill.rounds = dict(holdout=dict(ann_file='gone.json'))
    assert 'the held-out list data/toy/gone.json: put it there' in (
        make_plan(config).missing
    )


def test_rounds_that_cannot_run_have_no_plan(config):
    Path('work_dirs/toy/teacher').mkdir(parents=True)
    Path('work_dirs/toy/teacher/iter_500.pth').touch()
    settings = [{}, dict(train_cfg=dict(_delete_=True))]
    config.distill.rounds = dict(settings=settings)
    with pytest.raises(UserError, match=r'round 2: .*how long it trains'):
        make_plan(config)
