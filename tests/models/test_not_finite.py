"""Heads that give NaN or infinity: such a keypoint is unknown, and spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.network import _agree
from tests.helpers.crew import Crew
from tests.helpers.published import PUBLISHED

FAMILIES = ('MSRA', 'UDP, combined', 'SimCC', 'RLE', 'integral', 'visibility')
FIELDS = ('keypoints', 'keypoint_scores', 'keypoints_visible', 'keypoint_agreement')
FLIP_INDICES = [0, 2, 1]
KEYPOINT = 3


@pytest.fixture(scope='module', params=FAMILIES)
def crew(request):
    """A model of each family of heads."""
    return Crew(PUBLISHED[request.param])


def tensors_of(output: Any) -> Iterator[Tensor]:
    """All tensors of a head's output, stage after stage."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (list, tuple)):
        for each in output:
            yield from tensors_of(each)


def spoil(
    crew: Crew, number: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Let the head give a value for one keypoint of the first person."""
    plain = crew.estimator.head.forward

    def forward(feats: Any) -> Any:
        output = plain(feats)
        tensors = list(tensors_of(output))
        spoiled = tensors if isinstance(output, list) else [tensors[number]]
        for tensor in spoiled:
            maps = tensor.shape[1] // 17
            if tensor.shape[1] != 3 * 17:
                maps = 1
            tensor[0, KEYPOINT * maps] = value
        return output

    monkeypatch.setattr(crew.estimator.head, 'forward', forward)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_keypoint_that_is_not_finite_is_unknown_and_the_others_stay(
    crew, value, monkeypatch
):
    right = crew.fuse(flip=False)
    assert right.known.all()
    spoil(crew, 0, value, monkeypatch)

    poses = crew.fuse(flip=False)

    unknown = np.zeros(right.known.shape, dtype=bool)
    unknown[0, KEYPOINT] = True
    assert np.array_equal(poses.known, ~unknown)
    assert poses.keypoint_scores[unknown] == poses.keypoint_agreement[unknown] == 0
    assert poses.keypoints_visible[unknown] == 0
    middle = crew.crops.centers[0].tolist()
    assert poses.keypoints[unknown][0].tolist() == pytest.approx(middle)
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(poses, name)[~unknown], getattr(right, name)[~unknown], rtol=1e-4
        )


@pytest.mark.parametrize('family', ['SimCC', 'visibility'])
def test_each_tensor_of_a_head_counts(family, monkeypatch):
    crew = Crew(PUBLISHED[family])
    spoil(crew, 1, np.nan, monkeypatch)
    known = crew.fuse(flip=False).known
    assert not known[0, KEYPOINT]
    assert known.sum() == known.size - 1


def test_in_a_mirrored_view_it_is_the_partner_that_is_unknown(
    make_estimator, some_images
):
    estimator = make_estimator()
    with torch.no_grad():
        estimator.head.final_layer.bias[1] = np.nan
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in some_images.images]
    known = {
        flip: HeatmapFusionTTA(estimator, flip=flip)
        .fuse(images, some_images.boxes, FLIP_INDICES)
        .known.all(axis=0)
        .tolist()
        for flip in (False, True)
    }
    assert known == {False: [True, False, True], True: [True, False, False]}


def test_weights_that_are_not_finite_are_folded_as_others_are(make_estimator):
    """Whether a network is folded must not hang on the first crop that it sees."""
    one = torch.tensor([[1.0, torch.nan, torch.inf]])
    assert _agree(one, one * 1)
    assert not _agree(one, torch.tensor([[1.0, 2.0, torch.inf]]))
    assert not _agree(one, torch.tensor([[1.5, torch.nan, torch.inf]]))
