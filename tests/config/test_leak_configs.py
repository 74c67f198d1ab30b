"""Sets that unlabeled images are compared with."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.config.datasets import leak_guard_config
from mmdistill.config.recipe import Recipe

VAL = dict(data_root='d', ann_file='val.json', data_prefix=dict(img='v/'))
LABELED = dict(ann_file='labeled.json')
LEAST = dict(teacher={}, unlabeled={}, store='labels')
ENTRY = dict(ann_file='d/val.json', img_root='d/v')


def config_of(dataset, **distill):
    loader = None if dataset is None else dict(dataset=dataset)
    return Config(dict(work_dir='w', val_dataloader=loader, distill=LEAST | distill))


@pytest.mark.parametrize(
    ('dataset', 'entries'),
    [
        (VAL, [ENTRY]),
        (dict(type='CombinedDataset', datasets=[VAL, VAL]), [ENTRY, ENTRY]),
        (
            dict(
                type='CombinedDataset',
                datasets=[dict(type='RepeatDataset', dataset=VAL), VAL],
            ),
            [ENTRY, ENTRY],
        ),
        (None, []),
        (dict(type='Other'), []),
    ],
)
def test_the_validation_sets_are_found(dataset, entries):
    guard = leak_guard_config(Recipe.of(config_of(dataset)), LABELED)
    assert guard['val'] == entries
    assert guard['labeled'] == [dict(ann_file='labeled.json', img_root='.')]
    assert guard['cache'] == 'w/image_hashes.json'


def test_it_can_be_switched_off():
    assert (
        leak_guard_config(Recipe.of(config_of(VAL, leak_guard=False)), LABELED) is None
    )


def test_images_of_every_labeled_member_are_compared():
    labeled = dict(
        type='CombinedDataset',
        datasets=[LABELED, dict(type='RepeatDataset', times=2, dataset=VAL)],
    )
    guard = leak_guard_config(Recipe.of(config_of(None)), labeled)
    assert guard['labeled'] == [dict(ann_file='labeled.json', img_root='.'), ENTRY]
