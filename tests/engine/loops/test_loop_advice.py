"""The advice of sentences about loops: following it finishes the stage."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.config.text import TextConfig
from mmdistill.engine.loops.detect_loop import DetectLoop
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.engine.runner import stage_runner
from mmdistill.errors import TooManyFailuresError, UserError
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS, LABELS
from tests.helpers.detecting import NUM_IMAGES as DETECTED
from tests.helpers.detecting import Detector
from tests.helpers.detecting import detect as detect
from tests.helpers.labeling import NUM_IMAGES, Broken, Teacher
from tests.helpers.students import student_config, write_labels

OPTION = re.compile(r'(distill\.\w+\.\w+)=(\d+)')


def options_in(sentence: str) -> dict[str, int]:
    """Settings that a sentence names for `--cfg-options`."""
    (words,) = re.findall(r'with --cfg-options (.+): it goes on', sentence)
    return {key: int(value) for key, value in OPTION.findall(words)}


def recipe_with(key: str, value: Any) -> Recipe:
    """A recipe whose command line states one setting."""
    required = dict(teacher={}, unlabeled=dict(data_root='images'), store='labels')
    config = Config(dict(distill=required))
    config.merge_from_dict({key: value})
    return Recipe.of(config)


# Memory and worker processes.


class Large(Teacher):
    """A teacher that has memory for so many images and crops at once.

    Args:
        images: Most images of a batch.
        crops: Most crops of a forward pass.
        forward_batch_size: Crops of a forward pass.
    """

    def __init__(self, images: int = 9, crops: int = 9, forward_batch_size: int = 8):
        super().__init__()
        self.images, self.crops = images, crops
        self.forward_batch_size = forward_batch_size

    def test_step(self, batch: dict) -> list:
        if len(batch['data_samples']) > self.images:
            raise MemoryError
        if self.forward_batch_size > self.crops:
            raise MemoryError
        return super().test_step(batch)


def same(first: LabelStore, second: LabelStore) -> bool:
    return first.digest() == second.digest()


def test_labeling_goes_on_in_smaller_batches(label):
    with pytest.raises(UserError) as caught:
        label(teacher=Large(images=1))
    name = 'distill.labeling.batch_size'
    size = options_in(str(caught.value))[name]
    labeling = recipe_with(name, size).distill.labeling

    _, store = label(
        teacher=Large(images=1), loader=dict(batch_size=labeling.batch_size)
    )

    assert same(store, label('whole')[1])


@pytest.mark.parametrize('images', [1, 2])
def test_labeling_goes_on_with_fewer_crops(label, images):
    with pytest.raises(UserError) as caught:
        label(teacher=Large(crops=1), loader=dict(batch_size=images))
    name = 'distill.views.forward_batch_size'
    size = options_in(str(caught.value))[name]
    views = recipe_with(name, size).distill.views

    teacher = Large(crops=1, forward_batch_size=views.forward_batch_size)
    _, store = label(teacher=teacher, loader=dict(batch_size=images))

    assert same(store, label('whole')[1])


class LargeDetector(Detector):
    """A detector that has memory for one image at once."""

    def test_step(self, samples: list) -> list:
        if len(samples) > 1:
            raise MemoryError
        return super().test_step(samples)


def test_detecting_goes_on_in_smaller_batches(detect):
    with pytest.raises(UserError) as caught:
        detect(detector=LargeDetector())
    (name, size) = options_in(str(caught.value)).popitem()
    section = recipe_with(name, size).distill.detector

    _, store = detect(
        detector=LargeDetector(), loader=dict(batch_size=section.batch_size)
    )

    assert same(store, detect('whole')[1])


@pytest.mark.parametrize(
    ('loop', 'kind'), [(LabelLoop, LABELS), (DetectLoop, DETECTIONS)]
)
def test_a_recipe_takes_every_option_that_a_loop_names(loop, kind, tmp_path):
    stopped = SimpleNamespace(
        _loader_config=dict(batch_size=8, num_workers=3),
        store=LabelStore(tmp_path, kind),
        memory_options=loop.memory_options.fget(None),
    )
    options = options_in(str(loop._failure(stopped, 'it stopped')))

    expected = {f'{kind.section}.num_workers': 0, f'{kind.section}.batch_size': 4}
    assert expected.items() <= options.items()
    for key, value in options.items():
        section, name = key.split('.')[1:]
        distill = recipe_with(key, value).distill
        assert getattr(getattr(distill, section), name) == value


# Failed images.


@pytest.fixture
def mended(tmp_path):
    """Write some images as files that are none; returns what mends them."""

    def spoil(*numbers: int) -> Callable[[], None]:
        files = [tmp_path / 'pile' / f'{number}.png' for number in numbers]
        content = [file.read_bytes() for file in files]
        for file in files:
            file.write_bytes(b'')

        def mend() -> None:
            for file, data in zip(files, content, strict=True):
                file.write_bytes(data)

        return mend

    return spoil


def failed(run: Callable, **settings: Any) -> str:
    with pytest.raises(TooManyFailuresError) as caught:
        run(**settings)
    return str(caught.value)


def test_a_larger_share_accepts_the_failures(label, mended, tmp_path):
    mended(1, 4)
    sentence = failed(label, max_failures=0.2)
    (percent,) = re.findall(r'failed \((.+)%\)', sentence)
    (key,) = re.findall(r'with a larger ([\w.]+),', sentence)
    share = math.ceil(float(percent)) / 100
    labeling = recipe_with(key, share).distill.labeling

    teacher, store = label(max_failures=labeling.max_failures)

    assert teacher.batches == []
    assert sum(reason is not None for reason in store.read().failures) == 2


def test_chunks_that_are_named_are_labeled_anew_until_all_are_right(label, mended):
    """A sentence names three chunks; what is left is named by the next one."""
    images = (0, 1, 2, 4, 5)
    mend, removed = mended(*images), set()
    sentence = failed(label, chunk_size=1, max_failures=0)
    mend()
    while sentence:
        names = set(re.findall(r'chunks/\d+\.parquet', sentence))
        assert names
        assert not names & removed
        removed |= names
        store = LabelStore(Path(re.findall(r'images of (\S+) failed', sentence)[0]))
        for name in names:
            (store.root / name).unlink()
        try:
            label(chunk_size=1, max_failures=0)
            sentence = ''
        except TooManyFailuresError as error:
            sentence = str(error)
    assert removed == {f'chunks/{number:06d}.parquet' for number in images}
    assert same(store, label('whole', chunk_size=1)[1])


@pytest.mark.parametrize('stage', ['label', 'detect'])
def test_without_any_image_the_stage_begins_anew(request, mended, stage):
    run = request.getfixturevalue(stage)
    mend = mended(*range(NUM_IMAGES if stage == 'label' else DETECTED))
    sentence = failed(run)
    assert 'mend the images, remove the store and run again' in sentence

    mend()
    shutil.rmtree(re.findall(r'images of (\S+) failed', sentence)[0])

    _, store = run()
    assert not any(store.read().failures)


class Half(Broken):
    """A teacher whose float16 overflows."""

    def __init__(self, precision: str):
        super().__init__('0123456' if precision == 'float16' else '')


@pytest.mark.parametrize('way', ['weights', 'precision'])
def test_a_teacher_that_is_finite_labels_after_the_store_is_removed(label, way):
    with pytest.raises(UserError) as caught:
        label(teacher=Half('float16'))
    sentence = str(caught.value)
    (folder,) = re.findall(r'and remove (\S+), which holds no label$', sentence)
    if way == 'weights':
        (key,) = re.findall(r'other weights in ([\w.]+)', sentence)
        (named,) = recipe_with(key, 'a.pth').distill.teachers
        assert named.checkpoint == 'a.pth'
        teacher = Teacher()
    else:
        key, value = re.findall(r"(distill\.views\.\w+)='(\w+)'", sentence)[0]
        teacher = Half(recipe_with(key, value).distill.views.precision)

    shutil.rmtree(folder)

    _, store = label(teacher=teacher)
    assert len(store.read().candidates) == NUM_IMAGES


# Loops that resume.


@pytest.fixture
def training(tmp_path_factory, toy_root, request):
    """Make a training of one step or one epoch by a loop that resumes."""
    store = write_labels(tmp_path_factory.mktemp('pseudo'), request.getfixturevalue)

    def training(loop: str) -> Config:
        length = dict(max_iters=1) if 'Iter' in loop else dict(max_epochs=1)
        made = student_config(toy_root, store, tmp_path_factory.mktemp('run'))
        made.train_cfg = dict(type=f'mmdistill.{loop}', **length)
        made.train_dataloader.dataset = dict(
            type='mmdistill.SeededDataset', dataset=made.train_dataloader.dataset
        )
        return made

    return training


def train(config: Config) -> int:
    """Train; returns the number of steps."""
    runner = stage_runner(TextConfig.of(config))
    runner.train()
    return runner.iter


def refused(config: Config) -> str:
    with pytest.raises(UserError) as caught:
        train(config)
    return str(caught.value)


@pytest.mark.parametrize('loop', ['ResumableIterLoop', 'ResumableEpochLoop'])
def test_a_loop_that_resumes_has_its_batch_sampler(training, loop):
    made = training(loop)
    sampler = made.train_dataloader.pop('batch_sampler')
    key, kind = re.findall(r"needs ([\w.]+)=dict\(type='([\w.]+)'\)", refused(made))[0]

    made.merge_from_dict({key: dict(type=kind)})
    if 'Epoch' in loop:
        made.merge_from_dict({key: dict(num_batches=1)})

    assert made.train_dataloader.batch_sampler.type == sampler.type
    assert train(made) == 1


def test_epochs_have_a_sampler_that_ends(training):
    made = training('ResumableEpochLoop')
    made.train_dataloader.batch_sampler.num_batches = 2
    made.train_dataloader.sampler = dict(type='InfiniteSampler')
    (kind,) = re.findall(r'a sampler that ends, as (\w+),', refused(made))

    made.train_dataloader.sampler = dict(type=kind)

    assert train(made) == 2
