"""The mark of pseudo-labelled samples."""

from __future__ import annotations

import pickle

import pytest
from mmpose.structures import PoseDataSample

from mmdistill.datasets.sample_tags import count_pseudo, marked


def packed():
    return dict(inputs=None, data_samples=PoseDataSample())


def test_marked_samples_are_counted_and_others_are_not():
    samples = [marked(packed()), packed(), marked(packed())]
    assert count_pseudo([sample['data_samples'] for sample in samples]) == 2


def test_the_mark_passes_from_a_worker_to_the_batch():
    sample = pickle.loads(pickle.dumps(marked(packed())['data_samples']))
    assert count_pseudo([sample.to('cpu')]) == 1


@pytest.mark.parametrize('sample', [None, dict(img_path='a.png')])
def test_what_is_not_packed_stays_as_it_is(sample):
    before = None if sample is None else dict(sample)
    assert marked(sample) == before
