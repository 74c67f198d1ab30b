"""Pictures of what a training is about to see, of real runs on toy data."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.models import TopdownPoseEstimator

from mmdistill.errors import ConfigError
from mmdistill.reports import show
from mmdistill.reports.show import pictures_folder, show_training
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, QUICK, call_tool

FOLDER = Path('student/show')


def recorded(monkeypatch, name: str) -> list:
    """Values that the pictures are drawn of."""
    calls: list = []
    draw = getattr(show, name)

    def note(first, *others):
        calls.append(first)
        return draw(first, *others)

    monkeypatch.setattr(show, name, note)
    return calls


@pytest.fixture
def run(workshop, monkeypatch):
    """Train a student that shows three of each; what was drawn, and its first batch."""
    samples = recorded(monkeypatch, 'draw_samples')
    views = recorded(monkeypatch, 'draw_views')
    batches: list = []
    step = TopdownPoseEstimator.train_step

    def train_step(model, data, *arguments, **others):
        batches.append([image.clone() for image in data['inputs']])
        return step(model, data, *arguments, **others)

    monkeypatch.setattr(TopdownPoseEstimator, 'train_step', train_step)
    options = ('--cfg-options', *QUICK, *DISTILL, 'distill.worth_images=0')
    arguments = ('--work-dir', 'student', '--show', '3', '--no-validate')
    assert call_tool('train', STUDENT, *arguments, *options) == 0
    return samples[0], views[0], batches[0]


def test_samples_are_those_that_the_student_gets(run):
    samples, views, batch = run
    assert samples.are_exact
    # A batch of five: ceil(0.6 x 5) labels come first.
    drawn = [*samples.labeled[:3], *samples.pseudo[:2]]
    assert [sample.is_pseudo for sample in drawn] == [False] * 3 + [True] * 2
    for sample, inputs in zip(drawn, batch, strict=True):
        pixels = inputs.numpy().transpose(1, 2, 0)[..., ::-1]
        np.testing.assert_array_equal(sample.image, pixels)

    # Labels of an untrained teacher, which says another thing in each view.
    assert len(views) == 3
    for instance in views:
        assert len(instance.views) == 4
        plain, mirrored, *_ = instance.views
        assert mirrored.name == f'{plain.name} flipped'
        np.testing.assert_array_equal(plain.image[:, ::-1], mirrored.image)
        np.testing.assert_array_equal(plain.image, instance.label.image)

    for name in ('labels', 'views', 'samples'):
        height, width, _ = cv2.imread(str(FOLDER / f'{name}.png')).shape
        assert min(height, width) > 200


def test_a_supervised_training_shows_its_samples_alone(workshop, monkeypatch):
    samples = recorded(monkeypatch, 'draw_samples')
    config = Config.fromfile(TEACHER)
    config.work_dir = 'teacher'
    show_training(config, 2)

    assert [path.name for path in Path('teacher/show').iterdir()] == ['samples.png']
    assert len(samples[0].labeled) == 2
    assert not samples[0].pseudo
    assert not samples[0].are_exact


def test_what_cannot_be_shown_is_a_sentence(workshop, capsys):
    with pytest.raises(ConfigError, match='at least 1 sample to show, got 0'):
        show_training(Config.fromfile(TEACHER), 0)
    assert call_tool('train', STUDENT, '--show', '0') == 2
    arguments = ('--show', '2', '--write-config', 'made.py')
    assert call_tool('train', STUDENT, *arguments) == 2
    assert 'use tools/show.py' in capsys.readouterr().err
    other = Config.fromfile(TEACHER)
    other.default_scope = 'mmpretrain'
    with pytest.raises(ConfigError, match='default_scope mmpretrain'):
        show_training(other, 2)


def test_a_detector_that_is_no_student_has_samples_alone(workshop):
    detector = Config.fromfile(Path(TEACHER).with_name('detector.py'))
    detector.work_dir = 'detector'

    show_training(detector, 2)

    assert [path.name for path in Path('detector/show').iterdir()] == ['samples.png']


def test_models_of_whole_images_are_refused_before_they_label(workshop, capsys):
    recipe = Config.fromfile(STUDENT).filename
    image_model = ['model.type=BottomupPoseEstimator', 'model.head.type=RTMOHead']
    arguments = ('--show', '2', '--cfg-options', *image_model)

    assert call_tool('train', recipe, *arguments) == 2

    assert 'RTMOHead sees whole images; leave out --show' in capsys.readouterr().err
    assert not Path('work_dirs/toy/student/show').exists()


@pytest.mark.parametrize(
    ('store', 'folder'),
    [
        ('work/labels', 'work/show'),
        ('elsewhere/labels', 'work/show'),
        ('work/round_2/labels', 'work/round_2/show'),
    ],
)
def test_each_round_has_pictures_of_its_own(store, folder):
    config = Config(dict(work_dir='work', distill=dict(store=store)))
    assert pictures_folder(config) == Path(folder)
