"""The base of noised students: one name for another in any recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmdistill.config.noise_options import NoiseConfig
from mmdistill.config.recipe import Recipe
from mmdistill.stages.noise import noised_student_config

CONFIGS = Path(__file__).parents[2] / 'configs'
PLAIN, NOISY = '_base_/distill.py', '_base_/noisy_student.py'
RECIPES = [
    *('lspe/student', 'openfield/student'),
    *('coco/res50_co-35_co-80', 'face/hrnetv2-w18_300w', 'hand/res50_onehand10k'),
    *('coco/rtmpose-s_co-115_un-120', 'coco/hrnet-w48_to_mobilenetv2'),
]


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """Read a recipe, and the same with the one name changed."""

    def noisy(name):
        # Modules beside it are its own.
        monkeypatch.syspath_prepend(CONFIGS / 'distill' / Path(name).parent)
        return both(CONFIGS / 'distill' / f'{name}.py', tmp_path)

    return noisy


def both(path, folder):
    init_default_scope('mmpose')
    text = path.read_text()
    if PLAIN not in text:
        # It is based on a recipe that names it.
        changed = Config.fromfile(path)
        changed.merge_from_dict(dict(distill=dict(noise={})))
        return Config.fromfile(path), changed
    assert text.count(PLAIN) == 1
    text = text.replace(PLAIN, NOISY).replace("'../../", f"'{CONFIGS}/")
    for base in path.parent.glob('*.py'):
        text = text.replace(f"'{base.name}'", f"'{base}'")
    written = folder / path.name
    written.write_text(text)
    return Config.fromfile(path), Config.fromfile(written)


@pytest.mark.parametrize('name', RECIPES)
def test_a_recipe_is_noised_and_otherwise_the_same(name, noisy):
    plain, noised = noisy(name)
    assert Recipe.of(noised).distill.noise == NoiseConfig()
    del noised.distill['noise']
    assert noised.to_dict() == plain.to_dict()


@pytest.mark.parametrize('name', RECIPES)
def test_its_pseudo_labels_alone_go_through_the_noise(name, noisy):
    plain, noised = (noised_student_config(Recipe.of(config)) for config in noisy(name))
    before, after = (
        config.train_dataloader.dataset.datasets for config in (plain, noised)
    )
    assert after[0] == before[0]
    added = [step for step in after[1].pipeline if step not in before[1].pipeline]
    assert {step.type for step in added} == {'mmdistill.NoiseSwitch'}
    steps = [step for step in after[1].pipeline if step.type != 'Albumentation']
    assert len(Compose(steps).transforms) == len(steps)
