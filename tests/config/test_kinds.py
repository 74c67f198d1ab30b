"""Numbers that a `distill` section may state."""

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError


def recipe_of(section: dict) -> Recipe:
    least = dict(teacher={}, unlabeled={}, store='labels')
    return Recipe.of(Config(dict(distill=least | section)))


@pytest.mark.parametrize(
    ('part', 'values', 'sentence'),
    [
        ('labeling', dict(chunk_size=0), 'chunk_size must be a whole number of at'),
        ('labeling', dict(batch_size=1.5), 'at least 1, got 1.5'),
        ('labeling', dict(num_workers=-1), 'at least 0, got -1'),
        (
            'labeling',
            dict(score_floor='low'),
            "score_floor must be a number, got 'low'",
        ),
        ('labeling', dict(score_floor=float('nan')), 'must be a number, got nan'),
        ('labeling', dict(nms_thr=7), 'nms_thr must be a number from 0 to 1, got 7'),
        ('detector', dict(score_thr='abc'), "a number from 0 to 1, got 'abc'"),
        ('detector', dict(batch_size=0), 'batch_size must be a whole number of at'),
        ('detector', dict(tta='no'), "tta must be True or False, got 'no'"),
        ('detector', dict(categories={}), 'a list or a dict of whole numbers by name'),
        ('detector', dict(categories=dict(cat='1')), "by name, got {'cat': '1'}"),
        ('detector', dict(categories=dict(cat=-1)), "by name, got {'cat': -1}"),
        ('detector', dict(categories=[1]), 'must be a text, got 1'),
        ('mixing', dict(labeled_share=1), 'between 0 and 1, both excluded, got 1'),
        ('mixing', dict(labeled_share=True), 'both excluded, got True'),
        ('mixing', dict(pseudo_weight=-1), 'pseudo_weight must be a number of at'),
        ('schedule', dict(max_factor='big'), "of at least 1, got 'big'"),
        ('schedule', dict(milestones=[0.5, 2]), 'milestones must be .*, got 2'),
        ('views', dict(scales=[0]), 'scales must be a number above 0, got 0'),
        ('views', dict(scales='big'), "scales must be a list, got 'big'"),
        ('views', dict(rotations=['x']), "must be a number, got 'x'"),
    ],
)
def test_what_no_stage_could_work_with_is_refused(part, values, sentence):
    with pytest.raises(UserError, match=rf'distill\.{part}\..*{sentence}'):
        recipe_of({part: values})


@pytest.mark.parametrize(
    'section',
    [
        dict(labeling=dict(score_floor=-1, nms_thr=1.0, num_workers=0)),
        dict(views=dict(scales=(0.5, 1), rotations=[-15, 15]), schedule=None),
        dict(detector=dict(score_thr=0, nms_thr=1.0, tta=True)),
        dict(mixing=dict(pseudo_weight=0), schedule=dict(max_factor=1)),
    ],
)
def test_the_ends_of_a_range_belong_to_it(section):
    recipe_of(section)
