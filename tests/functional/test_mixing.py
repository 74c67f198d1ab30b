"""Tests of the index plan of mixed batches."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.mixing import (
    balanced_share,
    balanced_slots,
    draw_seeds,
    finishing_batches,
    labeled_slots,
    mixed_batches,
    reordered,
    source_slots,
    stream_items,
)
from mmdistill.functional.permutation import hash_key

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=3)
SLOTS = st.lists(st.integers(1, 9), min_size=3, max_size=3)


def mixed_batch(number, *plan):
    """One batch."""
    (batch,) = mixed_batches(np.array([number]), *plan)
    return batch


def source_of(indices, sizes):
    """Number of the source that each index of the concatenation falls into."""
    return np.searchsorted(np.cumsum(sizes), indices, side='right')


@pytest.mark.parametrize(
    ('batch_size', 'share', 'slots'),
    [(5, 0.6, 3), (10, 0.6, 6), (64, 0.6, 39), (3, 0.6, 2), (2, 0.01, 1), (10, 0.7, 7)],
)
def test_labeled_slots(batch_size, share, slots):
    assert labeled_slots(batch_size, share) == slots


@given(st.integers(1, 99), st.integers(2, 512))
def test_labeled_slots_are_the_ceiling_of_the_exact_share(percent, batch_size):
    exact = math.ceil(Fraction(percent, 100) * batch_size)
    if exact < batch_size:
        assert labeled_slots(batch_size, percent / 100) == exact
    else:
        with pytest.raises(ValueError, match='leaves none'):
            labeled_slots(batch_size, percent / 100)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_label_comes_ten_times_as_often_or_has_the_share_of_the_paper(
    num_labeled, num_pseudo
):
    share = balanced_share(num_labeled, num_pseudo)
    repeats = (share / num_labeled) / ((1 - share) / num_pseudo)

    assert share == 0.6 or math.isclose(repeats, 10, rel_tol=1e-9)
    assert repeats < 10 * (1 + 1e-9)


@given(st.integers(2, 512), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_balanced_batch_has_both_kinds(batch_size, num_labeled, num_pseudo):
    slots = balanced_slots(batch_size, num_labeled, num_pseudo)

    assert 1 <= slots <= batch_size - 1
    share = balanced_share(num_labeled, num_pseudo)
    assert slots in (labeled_slots_or_none(batch_size, share), batch_size - 1)


def labeled_slots_or_none(batch_size, share):
    try:
        return labeled_slots(batch_size, share)
    except ValueError:
        return None


def test_a_batch_of_one_has_no_room_for_both_kinds():
    with pytest.raises(ValueError, match='at least 2, got 1'):
        balanced_slots(1, 10, 10)


@pytest.mark.parametrize('share', [0, 1, -0.2, 1.5, float('nan')])
def test_a_share_outside_zero_and_one_is_refused(share):
    with pytest.raises(ValueError, match='between 0 and 1'):
        labeled_slots(8, share)


@given(st.integers(1, 99))
def test_the_least_batch_that_a_refusal_names_is_the_least(percent):
    share = percent / 100
    with pytest.raises(ValueError, match='must be at least') as refusal:
        labeled_slots(1, share)
    least = int(str(refusal.value).split()[-1])
    assert labeled_slots(least, share) == least - 1
    with pytest.raises(ValueError, match='leaves none'):
        labeled_slots(least - 1, share)


@given(st.integers(1, 50), st.integers(0, 5), st.integers(0, 2**63))
def test_each_pass_over_a_source_holds_each_sample_once(size, number, key):
    positions = number * size + np.arange(size)
    items = stream_items(positions, size, key)
    np.testing.assert_array_equal(np.sort(items), np.arange(size))


def test_passes_over_a_source_have_different_orders():
    passes = stream_items(np.arange(200), 20, 1).reshape(10, 20)
    assert len({tuple(order) for order in passes}) == 10


def test_the_items_of_a_stream_do_not_depend_on_where_reading_starts():
    whole = stream_items(np.arange(100), 17, 5)
    np.testing.assert_array_equal(stream_items(np.arange(40, 90), 17, 5), whole[40:90])


@given(SIZES, SLOTS, st.integers(0, 50), st.integers(0, 9))
def test_every_batch_holds_exactly_the_slots_of_each_source(sizes, slots, number, seed):
    slots = slots[: len(sizes)]
    batch = mixed_batch(number, sizes, slots, seed)
    counts = np.bincount(source_of(batch, sizes), minlength=len(sizes))
    assert counts.tolist() == slots


@given(SIZES, SLOTS, st.integers(0, 9))
def test_batches_read_a_source_evenly(sizes, slots, seed):
    slots = slots[: len(sizes)]
    indices = np.concatenate([mixed_batch(i, sizes, slots, seed) for i in range(12)])
    for source, start in enumerate(np.cumsum([0, *sizes[:-1]])):
        mine = indices[source_of(indices, sizes) == source] - start
        counts = np.bincount(mine, minlength=sizes[source])
        assert counts.max() - counts.min() <= 1


@given(SIZES, SLOTS, st.integers(1, 4), st.integers(0, 20), st.integers(0, 9))
def test_ranks_together_read_what_one_process_would(sizes, slots, world, number, seed):
    slots = slots[: len(sizes)]
    ranks = [mixed_batch(number, sizes, slots, seed, r, world) for r in range(world)]
    single = mixed_batch(number, sizes, [world * n for n in slots], seed)
    assert sorted(np.concatenate(ranks)) == sorted(single)


def test_sources_of_equal_size_are_read_in_different_orders():
    batch = mixed_batch(0, [100, 100], [100, 100], 0)
    assert batch[:100].tolist() != (batch[100:] - 100).tolist()


def test_seeds_give_different_batches():
    batches = {tuple(mixed_batch(0, [50, 50], [8, 8], seed)) for seed in range(20)}
    assert len(batches) == 20


def test_a_source_smaller_than_its_slots_is_read_again():
    batch = mixed_batch(0, [2, 10], [6, 1], 0)
    assert np.bincount(batch[:6]).tolist() == [3, 3]


def slow_batches(count, first, sizes, slots, seed, world):
    """Batches of all ranks, sample after sample from each source's stream."""
    starts, read = np.cumsum([0, *sizes]), [0] * len(sizes)
    batches = []
    for number in range(count):
        for rank in range(world):
            batch = []
            for source, num in enumerate(slots[number >= first]):
                for _ in range(num):
                    (item,) = stream_items(
                        np.array([read[source]]), sizes[source], hash_key(seed, source)
                    )
                    batch.append(starts[source] + item)
                    read[source] += 1
            batches.append((number, rank, batch))
    return batches


@given(
    SIZES, st.integers(0, 8), st.integers(1, 3), st.integers(1, 3), st.integers(0, 5)
)
def test_batches_of_a_finish_are_those_of_a_slow_loop(sizes, first, num, world, seed):
    slots = ([num] * len(sizes), [num * len(sizes)] + [0] * (len(sizes) - 1))
    expected = slow_batches(12, first, sizes, slots, seed, world)
    for rank in range(world):
        found = finishing_batches(
            np.arange(12), first, sizes, slots, seed, rank, world
        ).tolist()
        mine = [(number, batch) for number, r, batch in expected if r == rank]
        assert found == [batch for _, batch in mine]
        # Any part of them, as after a restart.
        rest = np.arange(first + 1, 12)
        again = finishing_batches(rest, first, sizes, slots, seed, rank, world)
        assert again.tolist() == found[first + 1 :]


def test_a_pass_goes_on_across_the_beginning_of_a_finish():
    batches = finishing_batches(np.arange(6), 2, [20, 9], ([3, 2], [5, 0]), seed=1)
    labeled = batches[batches < 20]
    assert len(labeled) == 2 * 3 + 4 * 5
    assert sorted(labeled[:20]) == list(range(20))


def test_before_a_finish_batches_are_as_without_one():
    numbers = np.arange(7)
    without = mixed_batches(numbers, [20, 9], [3, 2], seed=1)
    found = finishing_batches(numbers, 7, [20, 9], ([3, 2], [5, 0]), seed=1)
    np.testing.assert_array_equal(found, without)


@given(st.data(), st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_sources_in_another_order_have_the_samples_they_had(data, sizes):
    order = data.draw(st.permutations(range(len(sizes))))
    starts = np.cumsum([0, *sizes])
    listed = [starts[i] + n for i in order for n in range(sizes[i])]

    found = reordered(np.arange(sum(sizes)), sizes, order)

    assert found.tolist() == listed


RATIOS = st.lists(st.integers(1, 9), min_size=2, max_size=5)


@given(RATIOS, st.integers(5, 80), st.data())
def test_slots_follow_the_ratio(ratio, batch_size, data):
    labeled = data.draw(
        st.sets(st.integers(0, len(ratio) - 1), min_size=1, max_size=len(ratio) - 1)
    )
    others = set(range(len(ratio))) - labeled
    part = Fraction(sum(ratio[i] for i in labeled), sum(ratio))
    of_labeled = math.ceil(part * batch_size)
    if of_labeled < len(labeled) or batch_size - of_labeled < len(others):
        with pytest.raises(ValueError, match='every source needs at least one'):
            source_slots(batch_size, ratio, sorted(labeled))
        return

    slots = source_slots(batch_size, ratio, sorted(labeled))

    assert sum(slots[i] for i in labeled) == of_labeled
    for kind, total in ((labeled, of_labeled), (others, batch_size - of_labeled)):
        chosen = {i: slots[i] for i in kind}
        assert chosen == largest_remainder(total, {i: ratio[i] for i in kind})


def largest_remainder(total, parts):
    """Slot by slot, in fractions, to the source that lacks most; none gets none."""
    whole = {i: Fraction(total * p, sum(parts.values())) for i, p in parts.items()}
    slots = {i: int(quota) for i, quota in whole.items()}
    lacking = sorted(whole, key=lambda i: (slots[i] - whole[i], i))
    for i in lacking[: total - sum(slots.values())]:
        slots[i] += 1
    for i in sorted(slots):
        if slots[i] == 0:
            richest = min(slots, key=lambda j: (-slots[j], j))
            slots[richest], slots[i] = slots[richest] - 1, 1
    return slots


@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 64))
def test_two_sources_at_a_ratio_are_those_at_its_share(one, other, batch_size):
    share = one / (one + other)
    slots = math.ceil(Fraction(one, one + other) * batch_size)
    if slots < batch_size:
        expected = [labeled_slots(batch_size, share)]
        assert source_slots(batch_size, (one, other), [0])[:1] == expected


@pytest.mark.parametrize('ratio', [(1, 0), (-1, 2), (1, float('nan'))])
def test_a_ratio_that_is_not_positive_is_refused(ratio):
    with pytest.raises(ValueError, match='must be positive'):
        source_slots(8, ratio, [0])


def test_draws_have_seeds_of_their_own():
    seeds = draw_seeds(np.arange(1000), 8, 3)
    # 8,000 of 2**32 numbers: the expected number of pairs is 0.007.
    assert len(np.unique(seeds)) == 8000
    assert seeds.min() >= 0
    assert seeds.max() < 2**32


def test_seeds_of_draws_depend_on_the_run():
    numbers = np.arange(5)
    assert not (draw_seeds(numbers, 8, 3) == draw_seeds(numbers, 8, 4)).any()


@given(SIZES, SLOTS, st.lists(st.integers(0, 50), min_size=1, max_size=4))
def test_batches_worked_out_together_are_those_worked_out_alone(sizes, slots, numbers):
    slots = slots[: len(sizes)]
    together = mixed_batches(np.array(numbers), sizes, slots, 5, 1, 3)
    for number, batch in zip(numbers, together, strict=True):
        np.testing.assert_array_equal(batch, mixed_batch(number, sizes, slots, 5, 1, 3))
