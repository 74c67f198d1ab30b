"""Which id the boxes of a class get."""

from __future__ import annotations

import pytest

from mmdistill.errors import UserError
from mmdistill.models.box_detector import category_ids

COCO = ('person', 'bicycle', 'cat', 'dog')


@pytest.mark.parametrize(
    ('wanted', 'labeled', 'expected'),
    [
        # The labeled set's own ids, by name.
        (('cat', 'dog'), dict(dog=7, cat=9), dict(cat=9, dog=7)),
        # One of each is the same thing under two names.
        (('person',), dict(toy_figure=3), dict(person=3)),
        # Numbers of the detector's list, as COCO has them.
        (('cat', 'dog'), {}, dict(cat=3, dog=4)),
        (('cat', 'dog'), dict(dog=1), dict(cat=3, dog=1)),
        (None, dict(person=1), dict(person=1, bicycle=2, cat=3, dog=4)),
        # What is stated holds.
        (dict(cat=12), dict(cat=1), dict(cat=12)),
    ],
)
def test_ids_are_those_that_counting_compares(wanted, labeled, expected):
    assert category_ids(COCO, wanted, labeled) == expected


@pytest.mark.parametrize('wanted', [('person', 'mouse'), dict(mouse=1)])
def test_an_unknown_class_is_refused_with_the_known_ones(wanted):
    with pytest.raises(
        UserError, match=r"no class 'mouse' .* it has person, bicycle, cat, dog"
    ):
        category_ids(COCO, wanted, {})


def test_a_number_that_means_another_category_is_refused():
    with pytest.raises(UserError, match=r"'cat', .* 3, is its 'zebra'; state the id"):
        category_ids(COCO, ('cat', 'dog'), dict(zebra=3, dog=1))


@pytest.mark.parametrize('wanted', ['person', (), {}])
def test_categories_must_be_a_list_of_names(wanted):
    with pytest.raises(UserError, match='must list names of classes, got'):
        category_ids(COCO, wanted, {})
