"""Models as ONNX files: the same as in PyTorch, or nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from mmdistill.errors import CheckpointError, ConfigError
from mmdistill.stages import onnx_export
from mmdistill.stages.onnx_export import (
    INSTALL,
    compare_outputs,
    export_model,
    export_onnx,
    flatten,
    import_packages,
)
from tests.helpers.devices import NEEDS_FULL_TORCH
from tests.helpers.recipes import TEACHER
from tests.helpers.tiny_heads import HEADS, INPUT, tiny_estimator
from tests.helpers.workshop import TEACHER_FILE


def crops_for(family: str) -> torch.Tensor:
    width, height = (128, 128) if family in ('integral', 'DSNT') else INPUT
    torch.manual_seed(1)
    return (F.interpolate(torch.rand(4, 3, 8, 8), (height, width)) * 255).round()


def outputs_of(model, crops):
    inputs = model.data_preprocessor(dict(inputs=crops, data_samples=[]))['inputs']
    with torch.no_grad():
        return flatten(model.head.forward(model.extract_feat(inputs)))


def test_the_teacher_of_a_recipe_gives_out_the_same(workshop, tool):
    for package in onnx_export.MODULES:
        pytest.importorskip(package, reason=INSTALL)
    assert tool('export_onnx', TEACHER, TEACHER_FILE) == 0

    session = import_packages().InferenceSession('work_dirs/teacher/iter_2.onnx')
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about['keypoints'])[:2] == ['nose', 'left_eye']
    assert json.loads(about['input_size']) == [64, 96]
    # Any number of crops, against the host's own preprocessing.
    pixels = torch.randint(0, 256, (3, 3, 96, 64)).float()
    (found,) = session.run(None, dict(pixels=pixels.numpy()))
    model = onnx_export._trained_model(Config.fromfile(TEACHER), TEACHER_FILE)
    (expected,) = outputs_of(model, pixels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_several_outputs_have_a_name_each(tmp_path):
    for package in onnx_export.MODULES:
        pytest.importorskip(package, reason=INSTALL)
    path = tmp_path / 'tiny.onnx'
    checked = export_model(
        tiny_estimator('SimCC'), crops_for('SimCC'), path, dict(a='b')
    )
    assert checked.compared > 0
    session = import_packages().InferenceSession(str(path))
    assert [each.name for each in session.get_outputs()] == ['output_0', 'output_1']


@pytest.mark.parametrize('family', HEADS)
def test_the_same_outputs_are_the_same_and_others_are_refused(family):
    model, crops = tiny_estimator(family), crops_for(family)
    outputs = outputs_of(model, crops)
    checked = compare_outputs(model, crops, outputs, outputs)
    assert (checked.output, checked.keypoint) == (0, 0)
    assert checked.total == 12

    other = [each + 1e-3 * each.abs().max() for each in outputs]
    with pytest.raises(CheckpointError, match='gives out something else'):
        compare_outputs(model, crops, outputs, other)


def test_keypoints_that_moved_are_refused_though_outputs_are_close(monkeypatch):
    """As a decoder that reads them in another order would have them."""
    model, crops = tiny_estimator('regression'), crops_for('regression')
    outputs = outputs_of(model, crops)
    monkeypatch.setattr(onnx_export, 'OUTPUT_TOLERANCE', 1.0)
    with pytest.raises(CheckpointError, match='keypoints by'):
        compare_outputs(model, crops, outputs, [each + 0.01 for each in outputs])


@NEEDS_FULL_TORCH
def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(onnx_export, 'MODULES', ('no_such_package',))
    with pytest.raises(ConfigError, match=r'needs the package no_such_package.*onnx\]'):
        import_packages()


def test_models_that_cannot_be_exported_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, 'import_packages', lambda: None)
    head = dict(type='AssociativeEmbeddingHead')
    config = Config(dict(model=dict(type='BottomupPoseEstimator', head=head)))
    with pytest.raises(ConfigError, match='AssociativeEmbeddingHead cannot be'):
        export_onnx(config, 'no.pth', tmp_path / 'a.onnx')
    with pytest.raises(ConfigError, match='has no model to export'):
        export_onnx(Config({}), 'no.pth', tmp_path / 'a.onnx')

    model = tiny_estimator('regression')
    model.backbone.add_module('deformed', _compiled())
    with pytest.raises(ConfigError, match=r'RegressionHead on Pool .* DeformConv2d'):
        onnx_export._check_operators(model)
    assert not list(Path(tmp_path).iterdir())


def _compiled():
    from mmcv.ops import DeformConv2d

    return DeformConv2d(3, 3, 1)
