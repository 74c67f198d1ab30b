"""Draws that are clean: the phase travels with the index, not with the clock."""

from __future__ import annotations

import pickle

import pytest
from mmengine.dataset import BaseDataset
from mmpose.structures import PoseDataSample
from torch.utils.data import DataLoader

from mmdistill.datasets.draw_phase import drawn, is_clean
from mmdistill.datasets.sample_tags import noised_rows, tag_clean, tag_pseudo
from mmdistill.datasets.seeded_dataset import SeededDataset, SeededIndex


class Phases(BaseDataset):
    """Samples that say in which phase they were drawn."""

    def load_data_list(self):
        return [dict(number=number) for number in range(4)]

    def prepare_data(self, idx):
        sample = PoseDataSample(metainfo=dict(number=idx, phase=is_clean()))
        return dict(inputs=None, data_samples=sample)


class Draws:
    """Four draws a pass, the last two of them clean."""

    def __len__(self):
        return 4

    def __iter__(self):
        return (SeededIndex(i, seed=i, clean=i > 1) for i in range(4))


def test_nothing_is_clean_outside_of_a_draw():
    assert not is_clean()
    with drawn(True):
        assert is_clean()
        with drawn(False):
            assert not is_clean()
        assert is_clean()
    assert not is_clean()


def test_a_failure_does_not_leave_the_phase_behind():
    with pytest.raises(ValueError, match='no image'), drawn(True):
        raise ValueError('no image')
    assert not is_clean()


def test_an_index_keeps_its_phase_on_the_way_to_a_worker():
    for clean in (False, True):
        draw = pickle.loads(pickle.dumps(SeededIndex(3, 5, clean)))
        assert (draw, draw.seed, draw.clean) == (3, 5, clean)


@pytest.mark.parametrize('workers', [0, 1, 2])
def test_the_phase_is_that_of_the_draw_in_any_number_of_workers(workers):
    loader = DataLoader(
        SeededDataset(Phases()),
        batch_size=2,
        sampler=Draws(),
        num_workers=workers,
        collate_fn=lambda batch: [sample['data_samples'] for sample in batch],
    )
    samples = [sample for batch in loader for sample in batch]
    assert [sample.phase for sample in samples] == [False, False, True, True]
    assert [sample.get('clean', False) for sample in samples] == [
        False,
        False,
        True,
        True,
    ]


def test_a_plain_index_is_not_clean():
    sample = SeededDataset(Phases())[1]['data_samples']
    assert not sample.phase
    assert 'clean' not in sample


def test_clean_samples_are_noised_by_no_rule():
    plain, pseudo, clean, both = (
        dict(inputs=None, data_samples=PoseDataSample()) for _ in range(4)
    )
    tag_pseudo(pseudo), tag_clean(clean), tag_clean(tag_pseudo(both))
    samples = [each['data_samples'] for each in (plain, pseudo, clean, both)]
    assert noised_rows(samples, 'pseudo') == [False, True, False, False]
    assert noised_rows(samples, 'all') == [True, True, False, False]
