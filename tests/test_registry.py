"""Tests of the registry: our types build from a string alone, in a fresh process."""

import json

import mmpose.registry
import pytest
from mmengine.registry import init_default_scope

import mmdistill.datasets
import mmdistill.models  # noqa: F401  (registers)
from mmdistill import registry
from tests.helpers.launches import run_forked

registry.HOOKS.import_from_location()
registry.PARAM_SCHEDULERS.import_from_location()
NODES = (
    *('MODELS', 'DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'PARAM_SCHEDULERS'),
    'KEYPOINT_CODECS',
)
NAMES = [(node, name) for node in NODES for name in getattr(registry, node).module_dict]
RESOLVE = """
import json, sys
assert not any(name.startswith("mmdistill") for name in sys.modules)
import mmengine.registry
import mmpose.registry
from mmengine.registry import init_default_scope

init_default_scope('mmpose')
found = {}
for node, name in json.loads(sys.argv[1]):
    # Codecs are MMPose's own kind of parts.
    host = mmengine if hasattr(mmengine.registry, node) else mmpose
    found[name] = getattr(host.registry, node).get('mmdistill.' + name).__module__
print(json.dumps(found))
"""


def test_every_name_resolves_from_a_string_in_a_fresh_process(tmp_path):
    (tmp_path / 'resolve.py').write_text(RESOLVE)
    said = run_forked(tmp_path / 'resolve.py', json.dumps(NAMES))
    expected = {
        name: getattr(registry, node).get(name).__module__ for node, name in NAMES
    }
    assert json.loads(said.splitlines()[-1]) == expected


@pytest.mark.parametrize(('node', 'name'), NAMES)
def test_every_name_resolves_from_the_registries_of_mmpose(node, name):
    init_default_scope('mmpose')
    found = getattr(mmpose.registry, node).get(f'mmdistill.{name}')
    assert found is getattr(registry, node).get(name)


@pytest.mark.parametrize(
    ('node', 'name'),
    [
        ('MODELS', 'HeatmapFusionTTA'),
        ('DATASETS', 'UnlabeledDataset'),
        ('DATASETS', 'PseudoLabelDataset'),
        ('DATASETS', 'PseudoImageDataset'),
        ('KEYPOINT_CODECS', 'PoseAnnotationProcessor'),
        ('DATA_SAMPLERS', 'MixedRatioBatchSampler'),
        ('PARAM_SCHEDULERS', 'FinishLR'),
        ('HOOKS', 'BoxFitHook'),
        ('HOOKS', 'CountMatchingHook'),
        ('HOOKS', 'LabelMixHook'),
        ('LOOPS', 'LabelLoop'),
    ],
)
def test_the_types_that_configs_name_are_registered(node, name):
    assert (node, name) in NAMES
