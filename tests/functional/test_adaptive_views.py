"""Instances that are shown in no further views, and the groups of views."""

import pytest
import torch

from mmdistill.functional.adaptive_views import AdaptiveRule, distance
from mmdistill.functional.view_plan import make_views
from mmdistill.functional.views import View


def names(groups):
    return [[str(view) for view in group] for group in groups]


def test_views_that_change_the_crop_least_come_first():
    views = make_views((0.5, 1.0, 1.1), flip=True, rotations=(-30, 10))

    groups = AdaptiveRule(0.9, groups=(2, 4)).split(views)

    assert names(groups) == [
        ['1', '1 flipped'],
        ['1.1', '1.1 flipped', '1 rotated 10', '1 rotated 10 flipped'],
        ['1 rotated -30', '1 rotated -30 flipped', '0.5', '0.5 flipped'],
    ]


@pytest.mark.parametrize('sizes', [(), (2, 2), (1,), (3, 50), (50, 2)])
def test_each_view_is_in_one_group(sizes):
    views = make_views((0.5, 1.0, 1.5), flip=True)

    groups = AdaptiveRule(0.9, groups=sizes).split(views)

    assert sorted(map(str, sum(groups, ()))) == sorted(map(str, views))
    lengths = [len(group) for group in groups]
    assert lengths[:-1] == list(sizes)[: len(lengths) - 1]
    assert 0 not in lengths


def test_the_distance_of_a_view_is_that_of_its_mirror_image_and_inverse():
    for view in make_views((0.8, 1.25), True, (1.25,), (20.0, 380.0 - 40.0), (0.8, 1)):
        flipped = View(
            view.scale, not view.flip, view.aspect_ratio, view.rotation, view.resolution
        )
        assert distance(view) == distance(flipped)
    assert distance(View(scale=0.5)) == pytest.approx(distance(View(scale=2.0)))
    assert distance(View(rotation=-30)) == distance(View(rotation=330))


def test_an_instance_is_settled_by_its_weighted_mean():
    generator = torch.Generator().manual_seed(0)
    agreement, evidence = torch.rand(2, 40, 5, generator=generator).unbind()
    rule = AdaptiveRule(0.5)

    settled = rule.settled(agreement, evidence)

    for row in range(40):
        weights = evidence[row].tolist()
        mean = sum(
            a * w for a, w in zip(agreement[row].tolist(), weights, strict=True)
        ) / sum(weights)
        assert bool(settled[row]) == (mean > 0.5)
    assert 0 < settled.sum() < 40


def test_the_rule_looks_at_one_instance_alone():
    generator = torch.Generator().manual_seed(0)
    agreement, evidence = torch.rand(2, 40, 5, generator=generator).unbind()
    rule = AdaptiveRule(0.5)
    alone = [
        rule.settled(agreement[[row]], evidence[[row]]).item() for row in range(40)
    ]

    assert rule.settled(agreement, evidence).tolist() == alone


def test_without_evidence_nothing_is_settled():
    nothing = torch.zeros(1, 3)

    assert not AdaptiveRule(0.1).settled(torch.ones(1, 3), nothing).any()
