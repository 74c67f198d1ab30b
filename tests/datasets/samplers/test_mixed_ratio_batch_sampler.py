"""Mixed batches of real data sets, through MMEngine's loader."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmengine.runner import Runner
from mmpose.datasets import CombinedDataset
from mmpose.datasets.datasets.body import CocoDataset

from mmdistill.datasets import MixedRatioBatchSampler, PseudoLabelDataset
from mmdistill.errors import UserError
from mmdistill.functional.mixing import balanced_slots
from mmdistill.store import LabelStore

PIPELINE = [
    dict(type='mmpose.LoadImage'),
    dict(type='mmpose.GetBBoxCenterScale'),
    dict(type='mmpose.TopdownAffine', input_size=(24, 32)),
    dict(type='mmpose.PackPoseInputs', meta_keys=('img_path', 'id')),
]


@pytest.fixture
def labeled(toy_root, coco_metainfo):
    """The labeled part of the toy data."""
    return CocoDataset(
        ann_file=str(toy_root / 'annotations/labeled.json'),
        data_prefix=dict(img=f'{toy_root}/images/labeled/'),
        metainfo=coco_metainfo,
        pipeline=PIPELINE,
    )


@pytest.fixture
def pseudo(
    tmp_path, write_images, make_rows, make_store, make_selection, coco_metainfo
):
    """11 pseudo-labels."""
    rows = make_rows((4, 0, 2, 5))
    write_images(tmp_path / 'images', *(row.path for row in rows))
    make_store(tmp_path / 'store', rows, img_root=tmp_path / 'images')
    make_selection(0.0).write(LabelStore(tmp_path / 'store'))
    return PseudoLabelDataset(
        str(tmp_path / 'store'), metainfo=coco_metainfo, pipeline=PIPELINE
    )


@pytest.fixture
def mixed(labeled, pseudo):
    """Both, the labeled ones first."""
    return ConcatDataset([labeled, pseudo], ignore_keys='CLASSES')


@pytest.fixture
def rank():
    """Make MMEngine's sampler of one rank of several."""

    def rank(dataset, number=0, world_size=1, seed=0):
        sampler = DefaultSampler(dataset, seed=seed)
        sampler.rank, sampler.world_size = number, world_size
        return sampler

    return rank


def loader(dataset, sampler='DefaultSampler', num_workers=0, batch_size=5, **options):
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=batch_size,
            num_workers=num_workers,
            sampler=dict(type=sampler, shuffle=True),
            batch_sampler=dict(type='mmdistill.MixedRatioBatchSampler', **options),
            collate_fn=dict(type='pseudo_collate'),
        ),
        seed=3,
    )


def share_of(batch, labeled):
    return sum(index < len(labeled) for index in batch)


@pytest.mark.parametrize(
    ('batch_size', 'share', 'expected'),
    [(5, 0.6, 3), (10, 0.6, 6), (8, 0.6, 5), (3, 0.6, 2), (4, 0.5, 2), (2, 0.01, 1)],
)
def test_every_batch_holds_its_share(mixed, labeled, batch_size, share, expected):
    batches = loader(mixed, batch_size=batch_size, labeled_share=share).batch_sampler
    for batch in batches:
        assert len(batch) == batch_size
        assert share_of(batch, labeled) == expected


def test_without_a_share_it_follows_from_the_sizes(mixed, labeled, pseudo):
    slots = balanced_slots(5, len(labeled), len(pseudo))

    batches = loader(mixed).batch_sampler

    assert batches.is_balanced
    assert {share_of(batch, labeled) for batch in batches} == {slots}


def test_every_loaded_batch_holds_its_share(mixed):
    for batch in loader(mixed):
        paths = [sample.img_path for sample in batch['data_samples']]
        assert sum('/images/labeled/' in path for path in paths) == 3


def test_labeled_source_may_stand_second(labeled, pseudo):
    mixed = ConcatDataset([pseudo, labeled], ignore_keys='CLASSES')
    for batch in loader(mixed, labeled_source=1).batch_sampler:
        assert sum(index >= len(pseudo) for index in batch) == 3


def test_combined_dataset_is_mixed_too(labeled, pseudo, coco_metainfo):
    configs = [
        dict(
            type='mmpose.CocoDataset',
            ann_file=labeled.ann_file,
            data_prefix=labeled.data_prefix,
            metainfo=coco_metainfo,
        ),
        dict(
            type='mmdistill.PseudoLabelDataset',
            store=str(pseudo.store.root),
            metainfo=coco_metainfo,
        ),
    ]
    mixed = CombinedDataset(coco_metainfo, configs, pipeline=PIPELINE)
    for batch in loader(mixed):
        paths = [sample.img_path for sample in batch['data_samples']]
        assert sum('/images/labeled/' in path for path in paths) == 3


def test_a_source_is_read_evenly(mixed, labeled):
    batches = islice(loader(mixed, 'InfiniteSampler').batch_sampler, 50)
    seen = Counter(i for batch in batches for i in batch if i < len(labeled))
    whole, rest = divmod(50 * 3, len(labeled))
    assert len(seen) == len(labeled)
    assert set(seen.values()) <= ({whole, whole + 1} if rest else {whole})


def test_an_epoch_is_as_long_as_both_sources(mixed):
    batches = loader(mixed, batch_size=4).batch_sampler
    assert len(batches) == len(list(batches)) == -(-len(mixed) // 4)


def test_an_epoch_may_be_given_another_length(mixed):
    batches = loader(mixed, num_batches=7).batch_sampler
    assert len(batches) == len(list(batches)) == 7


def test_the_epoch_decides_the_order(mixed):
    batches = loader(mixed).batch_sampler
    first = list(batches)
    batches.set_epoch(1)
    second = list(batches)
    batches.set_epoch(0)
    assert list(batches) == first != second


def test_the_sampler_of_the_loader_sets_the_epoch(mixed):
    # MMEngine's epoch-based loop sets it on `batch_sampler.sampler`.
    batches = loader(mixed).batch_sampler
    first = list(batches)
    batches.sampler.set_epoch(1)
    assert list(batches) != first


def test_epochs_continue_the_endless_stream(mixed):
    epochs = loader(mixed, num_batches=4).batch_sampler
    endless = loader(mixed, 'InfiniteSampler').batch_sampler
    expected = list(islice(endless, 12))
    found = []
    for epoch in range(3):
        epochs.set_epoch(epoch)
        found += list(epochs)
    assert found == expected


def test_an_infinite_sampler_never_ends(mixed):
    batches = loader(mixed, 'InfiniteSampler', num_batches=2).batch_sampler
    assert len(list(islice(batches, 100))) == 100


def test_seeds_give_other_orders(mixed, rank):
    one, other = (MixedRatioBatchSampler(rank(mixed, seed=s), 5) for s in (0, 1))
    assert list(one) != list(other)


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_one_stream(mixed, rank, world_size):
    ranks = [
        MixedRatioBatchSampler(rank(mixed, r, world_size), 5) for r in range(world_size)
    ]
    turns = [batch for step in zip(*ranks, strict=True) for batch in step]
    alone = MixedRatioBatchSampler(rank(mixed), 5, num_batches=len(turns))
    assert turns == list(alone)


def test_every_rank_holds_the_share(mixed, rank, labeled):
    for number in range(2):
        for batch in MixedRatioBatchSampler(rank(mixed, number, 2), 5):
            assert share_of(batch, labeled) == 3


def test_ranks_have_as_many_batches_as_each_other(mixed, rank):
    lengths = {
        len(list(MixedRatioBatchSampler(rank(mixed, r, 3), 4))) for r in range(3)
    }
    assert lengths == {-(-len(mixed) // 12)}


def test_workers_do_not_change_the_samples(mixed):
    def read(num_workers):
        return [
            (sample.img_path, pixels.numpy())
            for batch in loader(mixed, num_workers=num_workers)
            for sample, pixels in zip(
                batch['data_samples'], batch['inputs'], strict=True
            )
        ]

    alone, two = read(0), read(2)
    assert [path for path, _ in alone] == [path for path, _ in two]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(alone, two, strict=True))


class Source(list):
    """A data set that nothing is read from."""


class Sources:
    """A wrapper that says which data sets it holds."""

    def __init__(self, *sizes, length=None):
        self.datasets = [Source(range(size)) for size in sizes]
        self.length = sum(sizes) if length is None else length

    def __len__(self):
        return self.length


@pytest.mark.parametrize(
    ('sizes', 'options', 'sentence'),
    [
        ((0, 5), {}, 'empty source: Source has 0 samples'),
        ((5, 0), {}, 'empty source: Source has 0 samples'),
        ((5,), {}, 'mixes two sources or more.* got Sources with 1'),
        ((5, 5), {'batch_size': 1}, 'batch size of at least 2, got 1'),
        (
            (5, 5),
            {'batch_size': 2, 'labeled_share': 0.6},
            'a batch of 2 .*must be at least 3',
        ),
        ((5, 5), {'labeled_share': 0.95}, 'a batch of 4 .*must be at least 20'),
        ((5, 5), {'labeled_share': 1}, 'between 0 and 1.* got 1'),
        ((5, 5), {'labeled_share': 0}, 'between 0 and 1.* got 0'),
        ((5, 5), {'labeled_share': float('nan')}, 'between 0 and 1.* got nan'),
        ((5, 5), {'labeled_source': 2}, 'between 0 and 1, got 2'),
        ((5, 5), {'labeled_source': [0, 1]}, r'not all of 2, got \[0, 1\]'),
        ((5, 5), {'labeled_source': []}, r'must name some .*got \[\]'),
        ((5, 5, 5), {'source_ratio': [1, 1]}, r'each of the 3 sources, got \[1, 1\]'),
        ((5, 5, 5), {'source_ratio': [6, 1, 1]}, 'leaves 1 of 4 slots for the 2'),
        ((5, 5), {'source_ratio': [6, 0]}, 'must be positive numbers'),
    ],
)
def test_what_cannot_be_mixed_is_refused(rank, sizes, options, sentence):
    options = {'batch_size': 4, **options}
    with pytest.raises(UserError, match=sentence):
        MixedRatioBatchSampler(rank(Sources(*sizes)), **options)


def test_a_data_set_of_one_source_is_refused(rank, labeled):
    with pytest.raises(UserError, match='got CocoDataset with one'):
        MixedRatioBatchSampler(rank(labeled), 5)


def test_a_resampled_wrapper_is_refused(rank):
    with pytest.raises(UserError, match=r'they have \[5, 5\] samples, Sources has 12'):
        MixedRatioBatchSampler(rank(Sources(5, 5, length=12)), 5)


def batches_of(mixed, sampler='InfiniteSampler', count=12, **options):
    return list(islice(loader(mixed, sampler, **options).batch_sampler, count))


def draws(batches):
    return [[(int(i), i.seed) for i in batch] for batch in batches]


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_the_finish_has_labeled_samples_alone(mixed, labeled, sampler):
    options = dict(count=7, finish_after=4, num_batches=7)
    shares = [share_of(b, labeled) for b in batches_of(mixed, sampler, **options)]
    assert shares == [3] * 4 + [5] * 3


def test_before_the_finish_nothing_changes(mixed):
    without, with_finish = batches_of(mixed), batches_of(mixed, finish_after=8)
    assert draws(with_finish[:8]) == draws(without[:8])
    # Seeds are those of the draw, whatever is drawn.
    assert [[i.seed for i in b] for b in with_finish] == [
        [i.seed for i in b] for b in without
    ]


def test_a_finish_reads_the_labeled_set_on_without_a_repetition(mixed, labeled):
    # 5 batches of 3: the finish begins within a pass.
    batches = batches_of(mixed, count=40, finish_after=5)
    seen = [int(i) for batch in batches for i in batch if i < len(labeled)]
    for start in range(0, len(seen) - len(labeled) + 1, len(labeled)):
        assert sorted(seen[start : start + len(labeled)]) == [*range(len(labeled))]


def test_a_finish_of_epochs_begins_with_one(mixed, labeled):
    options = dict(num_batches=3, finish_after=2, finish_by_epoch=True)
    batches = loader(mixed, 'DefaultSampler', **options).batch_sampler
    shares = []
    for epoch in range(4):
        batches.set_epoch(epoch)
        shares.append({share_of(batch, labeled) for batch in batches})
    assert shares == [{3}, {3}, {5}, {5}]


@pytest.mark.parametrize('start', [0, 3, 5, 6, 9])
def test_a_run_that_is_resumed_goes_on_as_it_would(mixed, start):
    expected = draws(batches_of(mixed, finish_after=5))
    batches = loader(mixed, 'InfiniteSampler', finish_after=5).batch_sampler
    batches.start_at(start)
    assert draws(islice(batches, 12 - start)) == expected[start:]


def test_draws_of_the_finish_are_clean_unless_noise_stays(mixed):
    batches = batches_of(mixed, count=6, finish_after=4)
    assert [{i.clean for i in b} for b in batches] == [{False}] * 4 + [{True}] * 2
    noised = batches_of(mixed, count=6, finish_after=4, finish_noise=True)
    assert not any(i.clean for batch in noised for i in batch)
    assert draws(noised) == draws(batches)


def test_ranks_share_one_stream_in_the_finish(mixed, rank):
    ranks = [
        MixedRatioBatchSampler(rank(mixed, r, 2), 5, finish_after=2, num_batches=6)
        for r in range(2)
    ]
    turns = [batch for step in zip(*ranks, strict=True) for batch in step]
    alone = MixedRatioBatchSampler(rank(mixed), 5, num_batches=12, finish_after=4)
    assert turns == list(alone)


def test_several_labeled_sources_keep_their_ratio_in_the_finish(rank):
    sources = Sources(10, 50, 40)
    batches = MixedRatioBatchSampler(
        *(rank(sources), 10),
        labeled_source=[0, 2],
        source_ratio=[1, 5, 4],
        finish_after=1,
        num_batches=3,
    )
    counts = [
        [sum(low <= i < high for i in batch) for low, high in ((0, 10), (60, 100))]
        for batch in batches
    ]
    assert counts == [[1, 4], [2, 8], [2, 8]]
    assert [batches.num_labeled_in(n) for n in range(3)] == [5, 10, 10]


@pytest.mark.parametrize('value', [-1, 2.5, 'end'])
def test_a_beginning_of_the_finish_that_is_none_is_refused(mixed, rank, value):
    with pytest.raises(UserError, match='finish_after must be a whole number of'):
        MixedRatioBatchSampler(rank(mixed), 5, finish_after=value)
