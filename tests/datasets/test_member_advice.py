"""The advice of sentences about sets made of several: following it trains on them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mmengine.dataset import ConcatDataset
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

from mmdistill.datasets.seeded_dataset import SeededDataset, with_last_step
from mmdistill.errors import UserError
from mmdistill.selection.counts import build_labeled, count_labeled
from tests.helpers.host_sets import write_set
from tests.helpers.mixed_configs import AIC, LOAD, PACK, combined, with_pipelines


def refused(function: Any, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **settings)
    return str(caught.value)


@pytest.fixture
def mix(tmp_path) -> dict:
    """Two sets side by side, as a config."""
    init_default_scope('mmpose')
    sets = [
        dict(
            write_set('CocoDataset', tmp_path / name, (1, 2)),
            pipeline=[dict(type='mmpose.GetBBoxCenterScale', padding=1.0)],
        )
        for name in 'ab'
    ]
    return dict(type='ConcatDataset', datasets=sets, ignore_keys='CLASSES')


SHOW = [dict(type='GetBBoxCenterScale', padding=2.0)]
"""A change of the last step, as `browse_dataset.py` makes it."""


def padding_of(dataset: Any) -> list[float]:
    return [each.pipeline.transforms[-1].padding for each in dataset.datasets]


def test_a_pipeline_comes_with_the_config_of_a_data_set(mix):
    built = DATASETS.build(mix)
    assert isinstance(built, ConcatDataset)
    sentence = refused(SeededDataset, built, pipeline=SHOW)
    assert sentence.startswith('the pipeline of a SeededDataset changes the config of')
    assert sentence.endswith('give it the config, or change its own pipelines')

    assert padding_of(SeededDataset(mix, pipeline=SHOW)) == [2.0, 2.0]
    for each in mix['datasets']:
        each['pipeline'] = [{**each['pipeline'][0], 'padding': 2.0}]
    assert padding_of(SeededDataset(DATASETS.build(mix))) == [2.0, 2.0]


def test_a_step_that_ends_a_pipeline_is_changed():
    mix = with_pipelines(None, [LOAD, PACK], [LOAD])
    sentence = refused(with_last_step, mix, [dict(type='Resize', size=3)])
    (ends,) = re.findall(r'of its sources, (.+); got Resize$', sentence)

    for name in ends.split(' or '):
        changed = with_last_step(mix, [dict(type=name, size=3)])
        last = [each['pipeline'][-1] for each in changed['datasets']]
        assert [step.get('size') for step in last].count(3) == 1


def test_a_member_of_other_keypoints_is_converted(tmp_path):
    coco = dict(write_set('CocoDataset', tmp_path / 'coco', (2,)), pipeline=[])
    aic = dict(write_set('AicDataset', tmp_path / 'aic', (1, 3)), pipeline=[])
    sentence = refused(lambda: count_labeled(build_labeled(combined(coco, aic))))
    number = int(re.findall(r'CombinedDataset of (\d+);', sentence)[0])
    (kind,) = re.findall(r'its pipeline needs a (\w+) to those$', sentence)

    aic['pipeline'] = [dict(type=kind, num_keypoints=number, mapping=AIC)]

    assert count_labeled(build_labeled(combined(coco, aic))).instances == 2 + 4
