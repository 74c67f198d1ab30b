"""The tag of pseudo-labeled samples."""

from __future__ import annotations

import pickle

import pytest
from mmpose.structures import PoseDataSample

from mmdistill.datasets.sample_tags import count_pseudo_labels, tag_pseudo


def packed():
    return dict(inputs=None, data_samples=PoseDataSample())


def test_only_tagged_samples_are_counted():
    samples = [tag_pseudo(packed()), packed(), tag_pseudo(packed())]
    assert count_pseudo_labels([sample['data_samples'] for sample in samples]) == 2


def test_the_tag_passes_from_a_worker_to_the_batch():
    sample = pickle.loads(pickle.dumps(tag_pseudo(packed())['data_samples']))
    assert count_pseudo_labels([sample.to('cpu')]) == 1


@pytest.mark.parametrize('sample', [None, dict(img_path='a.png')])
def test_unpacked_samples_are_unchanged(sample):
    before = None if sample is None else dict(sample)
    assert tag_pseudo(sample) == before
