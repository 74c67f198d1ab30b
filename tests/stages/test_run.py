import gc
import weakref
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config
from mmpose.datasets.transforms import common_transforms

from mmdistill.errors import UserError
from mmdistill.stages import run as stages


def test_a_config_without_section_just_trains(monkeypatch):
    stages_run = []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return cls()

        def train(self):
            stages_run.append('train')

        def test(self):
            stages_run.append('test')

    monkeypatch.setattr('mmdistill.engine.quiet_runner.QuietRunner', Runner)

    stages.train(Config(dict(model=dict())))

    assert stages_run == ['train']


def test_a_config_with_section_is_labeled_first(monkeypatch):
    stages_run = []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return cls()

        def train(self):
            stages_run.append('train')

    monkeypatch.setattr('mmdistill.engine.quiet_runner.QuietRunner', Runner)
    monkeypatch.setattr(stages, '_label', lambda config: stages_run.append('label'))

    source = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    section = dict(teacher=dict(), unlabeled=dict(), store='labels')
    loader = dict(dataset=dict(datasets=[source]))

    stages.train(Config(dict(distill=section, train_dataloader=loader)))

    assert stages_run == ['label', 'train']


def test_the_teacher_is_freed_before_the_training(monkeypatch):
    teachers, alive = [], []

    class Model:
        """A model that only a cycle refers to once its stage has ended."""

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return cls()

        def test(self):
            self.model, self.loop = Model(), self
            teachers.append(weakref.ref(self.model))

        def train(self):
            alive.extend(teacher() for teacher in teachers if teacher())

    monkeypatch.setattr('mmdistill.engine.quiet_runner.QuietRunner', Runner)
    for name in ('check_teacher', 'count_labeled', 'build_labeled', 'check_fetchable'):
        monkeypatch.setattr(stages, name, lambda *_: None)
    monkeypatch.setattr(stages, 'label_config', lambda recipe: Config())
    source = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    labeled = dict(type='CocoDataset')
    section = dict(
        teacher=dict(), unlabeled=dict(), store='labels', labeled=dict(labeled)
    )
    gc.disable()
    try:
        stages.train(
            Config(
                dict(
                    distill=section,
                    train_dataloader=dict(dataset=dict(datasets=[source, labeled])),
                )
            )
        )
    finally:
        gc.enable()

    assert len(teachers) == 1
    assert alive == []


@pytest.mark.parametrize(
    ('ingredients', 'iterations', 'added'),
    [
        (dict(), 10, []),
        (dict(finish=dict(length=0.5)), 15, ['FinishHook']),
        (dict(ema=dict()), 10, ['FittedEMAHook']),
        (dict(finish=None, ema=dict(momentum=0.1)), 10, ['FittedEMAHook']),
        (dict(finish=dict(), ema=dict()), 12, ['FinishHook', 'FittedEMAHook']),
    ],
)
def test_a_student_has_the_ingredients_that_are_stated(
    tmp_path, monkeypatch, ingredients, iterations, added
):
    monkeypatch.chdir(tmp_path)
    Path('t.pth').touch()
    section = dict(teacher=dict(checkpoint='t.pth'), unlabeled=dict(), store='labels')
    loader = dict(batch_size=5, dataset=dict(type='CocoDataset'))
    config = dict(
        distill=dict(section, **ingredients),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=10),
        optim_wrapper=dict(optimizer=dict(type='Adam')),
    )

    made = stages.training_config(Config(config))

    assert made.train_cfg.max_iters == iterations
    names = [hook.type.rpartition('.')[2] for hook in made.custom_hooks]
    others = ['LabelMixHook', 'StudentLogHook', 'PlainModelHook']
    assert [name for name in names if name not in others] == added
    batches = made.train_dataloader.batch_sampler
    assert ('finish_after' in batches) == ('param_scheduler' in made)


def test_a_mixed_training_gets_what_it_takes_to_be_resumed(
    tmp_path, monkeypatch, logged
):
    monkeypatch.chdir(tmp_path)
    Path('t.pth').touch()
    trained = []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            trained.append(config)
            return cls()

        def train(self):
            pass

    monkeypatch.setattr('mmdistill.engine.quiet_runner.QuietRunner', Runner)
    monkeypatch.setattr(stages, '_label', lambda config: None)

    source = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    section = dict(teacher=dict(checkpoint='t.pth'), unlabeled=dict(), store='labels')
    loader = dict(
        batch_size=5,
        batch_sampler=dict(type='mmdistill.MixedRatioBatchSampler'),
        dataset=dict(datasets=[source]),
    )
    config = dict(
        distill=section,
        train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=3),
        load_from='t.pth',
    )

    stages.train(Config(config))

    assert trained[0].train_cfg.type == 'mmdistill.ResumableIterLoop'
    assert trained[0].train_dataloader.dataset.type == 'mmdistill.SeededDataset'
    assert logged == ['the student starts from the teacher t.pth, not as in the paper']


def test_the_student_is_noised_where_the_section_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('t.pth').touch()
    steps = [dict(type='TopdownAffine'), dict(type='GenerateTarget')]
    trained = []
    for noise in ({}, dict(noise=dict())):
        source = dict(
            type='mmdistill.PseudoLabelDataset', store='labels', pipeline=list(steps)
        )
        section = dict(
            teacher=dict(checkpoint='t.pth'), unlabeled=dict(), store='labels', **noise
        )
        config = Config(
            dict(
                distill=section,
                train_dataloader=dict(dataset=dict(datasets=[source])),
                train_cfg=dict(by_epoch=False, max_iters=3),
            )
        )
        made = stages.training_config(config)
        trained.append(made.train_dataloader.dataset.datasets[0].pipeline)

    assert trained[0] == steps
    assert [step.type for step in trained[1]] == [
        *('mmdistill.NoiseSwitch', 'TopdownAffine'),
        *('mmdistill.NoiseSwitch', 'GenerateTarget'),
    ]


@pytest.fixture
def labeled(monkeypatch) -> list[str]:
    """What was labeled, with a stand-in for the stage."""
    labeled = []
    monkeypatch.setattr(stages, 'find_boxes', lambda recipe: labeled.append('boxes'))
    monkeypatch.setattr(
        stages, 'stage_runner', lambda config: labeled.append('run') or mock.MagicMock()
    )
    return labeled


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Config:
    """A recipe whose boxes are to be found, and its teacher."""
    monkeypatch.chdir(tmp_path)
    folder = Path(__file__).parents[2] / 'configs' / 'distill' / 'toy'
    config = Config.fromfile(folder / 'student.py')
    Path('teacher.pth').touch()
    config.distill.teacher.checkpoint = 'teacher.pth'
    return config


def test_weights_that_cannot_be_fetched_are_told_before_the_labeling(recipe, labeled):
    init = dict(type='Pretrained', checkpoint='gone.pth')
    recipe.model.backbone.init_cfg = init

    with pytest.raises(UserError, match=r'gone\.pth of model\.backbone\.init_cfg'):
        stages.train(recipe)
    assert labeled == []


@pytest.mark.parametrize('verb', [stages.label, stages.train])
def test_a_missing_package_is_told_before_boxes_are_found(
    verb, recipe, labeled, monkeypatch
):
    monkeypatch.setattr(common_transforms, 'albumentations', None)
    blur = dict(type='Albumentation', transforms=[dict(type='Blur', p=0.1)])
    recipe.train_dataloader.dataset.pipeline.insert(1, blur)
    # There are no annotations here to validate with.
    recipe.val_dataloader = recipe.val_evaluator = recipe.val_cfg = None

    with pytest.raises(UserError, match=r'Albumentation of train_dataloader.*pip'):
        verb(recipe)
    assert labeled == []


@pytest.mark.parametrize('verb', [stages.label, stages.train])
def test_a_model_of_another_kind_is_told_before_boxes_are_found(verb, recipe, labeled):
    recipe.model = dict(type='BottomupPoseEstimator', head=dict(type='RTMOHead'))

    with pytest.raises(UserError, match=r'boxes, and RTMOHead finds the instances'):
        verb(recipe)
    assert labeled == []


def test_noise_that_the_model_cannot_have_is_told_before_boxes_are_found(
    recipe, labeled
):
    recipe.distill.noise = dict(drop_path=0.1)

    with pytest.raises(UserError, match='needs stochastic depth, which neither'):
        stages.train(recipe)
    assert labeled == []


def test_a_teacher_that_cannot_be_downloaded_is_told_before_boxes_are_found(
    recipe, labeled
):
    recipe.distill.teacher.checkpoint = 'http://127.0.0.1:9/teacher.pth'

    with pytest.raises(UserError, match=r'teacher\.pth: cannot be fetched'):
        stages.label(recipe)
    assert labeled == []
