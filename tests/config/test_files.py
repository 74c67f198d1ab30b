"""Tests of where configs are looked for."""

from pathlib import Path

import pytest

from mmdistill.config import files
from mmdistill.config.files import read_config, recipe_file
from mmdistill.errors import UserError

RECIPE = 'configs/distill/lspe/student.py'


def test_a_recipe_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    found = recipe_file(RECIPE)

    assert found == Path(__file__).parents[2] / RECIPE


def test_a_recipe_of_a_wheel_is_found(tmp_path, monkeypatch):
    """Where setup.py puts it in a wheel."""
    monkeypatch.chdir(tmp_path)
    packed = tmp_path / 'mmdistill/.mim/configs/distill/new.py'
    packed.parent.mkdir(parents=True)
    packed.touch()
    monkeypatch.setattr(files, 'ROOTS', (tmp_path / 'mmdistill/.mim',))

    assert recipe_file('configs/distill/new.py') == packed


def test_an_own_file_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(RECIPE).parent.mkdir(parents=True)
    Path(RECIPE).touch()

    assert recipe_file(RECIPE) == Path(RECIPE)


def test_a_config_that_is_nowhere_is_refused(tmp_path):
    path = tmp_path / 'none.py'

    with pytest.raises(UserError, match=r'the teacher config .* does not exist, and'):
        recipe_file(path, 'the teacher config')


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('a = (', r"it is no Python in line 1: '\(' was never closed"),
        ("_base_ = 'broken.py'", 'one of its bases is no Python in line 2: invalid'),
        (
            "_base_ = ['one.py', 'two.py']",
            'several of its bases state model and train_cfg; let one base inherit',
        ),
        ('a = b + 1', "NameError: name 'b' is not defined"),
        ("_base_ = 'one.py'\na = _base_.gone", "has no attribute 'gone'"),
        ('a = 1 / 0', 'ZeroDivisionError: division by zero'),
        ("_base_ = 'gone.py'", r'gone\.py, its base or a file .*, does not exist'),
        ("_base_ = 'mmpose::body_2d_keypoint/gone.py'", r'gone\.py'),
        (
            "_base_ = 'mmpose::body_2d_keypoint/edpose/coco/"
            "edpose_res50_8xb2-50e_coco-800x1333.py'",
            r'its base .*edpose_res50_8xb2-50e_coco-800x1333\.py has the new form',
        ),
        ("custom_imports = dict(imports=['gone_module'])", 'gone_module'),
    ],
)
def test_a_config_that_cannot_be_read_is_one_sentence(tmp_path, text, reason):
    for name in ('one', 'two'):
        text_of_base = 'model = dict(a=1)\ntrain_cfg = dict(b=2)\n'
        (tmp_path / f'{name}.py').write_text(text_of_base)
    (tmp_path / 'broken.py').write_text('a = 1\na b')
    path = tmp_path / 'recipe.py'
    path.write_text(text)

    with pytest.raises(UserError, match=reason) as error:
        read_config(path, 'the teacher config')

    assert str(error.value).startswith(f'the teacher config {path} cannot be read: ')
    assert '\n' not in str(error.value)


def test_a_config_that_can_be_read_is_read(tmp_path):
    path = tmp_path / 'recipe.py'
    path.write_text('a = 1')

    assert read_config(path).to_dict() == dict(a=1)
