"""Where images stand in a store that grows."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.store.generations import (
    Generation,
    chunk_spans,
    disagreements,
    generation_of,
    generations_in,
    images_entry,
    store_order,
)


@pytest.mark.parametrize('counts', [(7,), (6,), (7, 2, 9), (1, 1, 1)])
def test_spans_cover_every_image_once_and_never_two_generations(counts):
    generations = [Generation(count, '', '') for count in counts]
    found = chunk_spans(generations, 3)
    images = [i for place in found for i in range(place.start, place.stop)]
    assert images == list(range(sum(counts)))
    owner = np.repeat(np.arange(len(counts)), counts)
    for place in found:
        assert set(owner[place.start : place.stop]) == {place.generation}
        assert 1 <= len(place) <= 3


def test_chunks_stay_where_they_are_when_images_join():
    first = chunk_spans([Generation(7, '', '')], 3)
    assert chunk_spans([Generation(7, '', ''), Generation(4, '', '')], 3)[:3] == first


def test_a_manifest_gives_back_its_generations():
    generations = [Generation(7, 'a', 'b'), Generation(4, 'c', 'd')]
    entry = images_entry(generations)
    assert entry['count'] == 11
    assert generations_in({'images': entry}) == generations


def test_new_images_stand_behind_the_others_in_their_order(make_unlabeled):
    pile = make_unlabeled(['a', 'b', 'c', 'd', 'e'])
    old, new = store_order(['d', 'b'], pile)
    assert [pile.paths[i] for i in old] == ['d', 'b']
    assert [pile.paths[i] for i in new] == ['a', 'c', 'e']


def test_the_same_images_with_the_same_boxes_agree(make_unlabeled):
    pile = make_unlabeled(['a', 'b', 'c'])
    known = [generation_of(pile, np.array([2, 0]))]
    assert disagreements(known, ['c', 'a'], pile) == []


def test_images_that_are_gone_are_named(make_unlabeled):
    known = [generation_of(make_unlabeled(['a', 'b']), np.arange(2))]
    assert disagreements(known, ['a', 'b'], make_unlabeled(['b', 'c'])) == [
        'images: 1 of the store are not in this run: a'
    ]


def test_other_boxes_are_reported_by_generation(make_unlabeled):
    pile = make_unlabeled(['a', 'b', 'c'])
    known = [generation_of(pile, np.arange(1)), generation_of(pile, np.arange(1, 3))]
    (first, second) = disagreements(
        known, ['a', 'b', 'c'], make_unlabeled('abc', 'other')
    )
    assert first.startswith('boxes of images 1 to 1: the store has whole, this run o')
    assert second.startswith('boxes of images 2 to 3:')
