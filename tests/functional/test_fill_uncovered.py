"""Tests of vectors whose cells no view covers."""

import pytest
import torch

from mmdistill.functional.fusion import FUSIONS, fill_uncovered


@pytest.fixture
def logits():
    """Vectors without any positive value."""
    return -1 - torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', FUSIONS)
def test_the_peak_of_negative_logits_is_where_a_view_has_evidence(name, logits):
    coverage = torch.tensor([0.0, 0, 1, 1, 1, 1, 0, 0])
    fused = FUSIONS[name](2)
    fused.add(logits * coverage, coverage)

    filled = fill_uncovered(fused.result(), fused.covered())

    assert torch.equal(filled.argmax(-1), logits[..., 2:6].argmax(-1) + 2)
    lowest = logits[..., 2:6].amin(-1, keepdim=True)
    assert torch.equal(filled[..., [0, 1, 6, 7]], lowest.expand(-1, -1, 4))


@pytest.mark.parametrize('name', FUSIONS)
def test_covered_cells_stay_as_they_are(name, logits):
    fused = FUSIONS[name](2)
    fused.add(logits, torch.ones(8))
    assert torch.equal(fill_uncovered(fused.result(), fused.covered()), logits)


@pytest.mark.parametrize('name', FUSIONS)
def test_coverage_is_that_of_any_view_of_an_instance(name, logits):
    left = torch.tensor([1.0, 1, 1, 0, 0, 0, 0, 0])
    fused = FUSIONS[name](2)
    fused.add(logits * left, left)
    fused.add(logits[1:] * left.flip(0), left.flip(0), torch.tensor([1]))

    expected = torch.stack([left, left + left.flip(0)]).bool()
    covered = fused.covered().expand(2, 3, 8)
    assert torch.equal(covered, expected[:, None].expand(2, 3, 8))


@pytest.mark.parametrize('name', FUSIONS)
def test_coverage_needs_a_view(name):
    with pytest.raises(RuntimeError, match='at least one view'):
        FUSIONS[name](2).covered()
