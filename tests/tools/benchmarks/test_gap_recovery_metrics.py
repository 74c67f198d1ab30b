"""Metrics of a recipe's test: the host's own names, and what tables call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmpose.registry import METRICS

from mmdistill.errors import UserError

CONFIGS = Path(__file__).parents[3] / 'configs' / 'distill'


@pytest.fixture(scope='module')
def metrics(load):
    return load('gap_recovery.metrics')


@pytest.fixture(scope='module')
def read(metrics):
    def read(name):
        pytest.importorskip('efficientnet_lite_pytorch')
        folder = CONFIGS / name
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            config = Config.fromfile(
                folder / 'baseline.py', import_custom_modules=False
            )
        return metrics.metrics_of(config.to_dict())

    return read


def evaluator(*parts) -> dict:
    return dict(test_evaluator=[*parts])


@pytest.mark.parametrize(
    ('recipe', 'titles'),
    [
        ('lspe', ['PCK@0.2', 'PCK@0.1', 'PCK@0.05', 'AP', 'AR']),
        ('openfield', ['PCK@0.05', 'EPE [px]']),
        ('toy', ['AP', 'AR']),
        ('toy_detection', ['AP', 'AP .5', 'AP .75']),
    ],
)
def test_each_recipe_is_compared_by_its_own_metrics(read, recipe, titles):
    assert [metric.title for metric in read(recipe)] == titles


def test_names_are_those_that_the_host_gives(metrics):
    """A sample of one pose, off by 0.15 of its box: each radius counts it or not."""
    parts = [
        dict(type='PCKAccuracy', thr=0.2, norm_item='bbox'),
        dict(type='PCKAccuracy', thr=0.1, norm_item='bbox', prefix='p10'),
        dict(type='EPE'),
        dict(type='NME', norm_mode='keypoint_distance', keypoint_indices=[0, 1]),
    ]
    found = metrics.metrics_of(evaluator(*parts))
    truth = np.array([[[10.0, 10.0], [110.0, 10.0]]])
    sample = dict(
        pred_instances=dict(keypoints=truth + np.array([0, 15])),
        gt_instances=dict(
            keypoints=truth,
            keypoints_visible=np.ones((1, 2)),
            bboxes=np.array([[0.0, 0.0, 100.0, 100.0]]),
        ),
    )
    built = Evaluator([METRICS.build(part) for part in parts])
    names = {0: 'left', 1: 'right'}
    built.dataset_meta = dict(dataset_name='own', keypoint_id2name=names)
    built.process([sample], [sample])
    values = built.evaluate(1)
    assert {each.title: float(values[each.name]) for each in found} == pytest.approx(
        {'PCK@0.2': 1, 'PCK@0.1': 0, 'EPE [px]': 15, 'NME': 0.15}
    )


def test_radii_come_from_large_to_small_and_before_precision(metrics):
    config = evaluator(
        dict(type='CocoMetric', prefix='val'),
        dict(type='mmpose.PCKAccuracy', prefix='fine'),
        dict(type='PCKAccuracy', thr=0.5, norm_item=['head', 'torso']),
    )
    found = [(each.name, each.title) for each in metrics.metrics_of(config)]
    assert found == [
        ('PCKh', 'PCKh@0.5'),
        ('tPCK', 'tPCK@0.5'),
        ('fine/PCK', 'PCK@0.05'),
        ('val/AP', 'AP'),
        ('val/AR', 'AR'),
    ]


def test_a_single_evaluator_counts_and_none_is_no_metric(metrics):
    assert [each.name for each in metrics.metrics_of(evaluator())] == []
    assert metrics.metrics_of({}) == []
    single = dict(test_evaluator=dict(type='NME'))
    assert [each.name for each in metrics.metrics_of(single)] == ['NME']


def test_precision_chooses_where_it_is_known(metrics):
    pck, ap = metrics.Metric('PCK', 'PCK@0.2'), metrics.Metric('coco/AP', 'AP')
    assert metrics.choose_metrics([pck, ap], None, None) == ([pck, ap], ap)
    assert metrics.choose_metrics([pck], None, None) == ([pck], pck)


def test_names_and_titles_choose_alike(metrics):
    pck, ap = metrics.Metric('p10/PCK', 'PCK@0.1'), metrics.Metric('coco/AP', 'AP')
    for name in ('p10/PCK', 'PCK@0.1'):
        assert metrics.choose_metrics([pck, ap], [name], None) == ([pck], pck)
        assert metrics.choose_metrics([pck, ap], None, name) == ([pck, ap], pck)


def test_another_result_of_the_test_has_its_own_name(metrics):
    shown, chosen = metrics.choose_metrics([], ['coco/AP .5'], 'left/NME')
    assert shown == [metrics.Metric('coco/AP .5', 'AP .5')]
    assert chosen == metrics.Metric('left/NME', 'NME')
    assert chosen.lower_is_better


def test_without_any_metric_the_sentence_says_what_to_do(metrics):
    with pytest.raises(UserError, match='name one of its results with --metrics'):
        metrics.choose_metrics([], None, None)
    assert metrics.choose_metrics([], ['loss'], None)


@pytest.mark.parametrize(
    ('name', 'value', 'shown'),
    [
        ('NME', 0.07041, '0.0704'),
        ('EPE', 1.874, '1.87'),
        ('coco/AP', 0.1306, '0.131'),
    ],
)
def test_a_value_has_the_digits_that_seeds_differ_in(metrics, name, value, shown):
    metric = metrics.Metric(name, name)
    assert metric.shown(value) == shown
    assert metric.shown(value, '+') == f'+{shown}'
    assert metric.lower_is_better == (name != 'coco/AP')
