"""Weights are loaded wholly; what a misfit is called is seen through the hooks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmdistill.engine.fitting_weights import load_fitting
from mmdistill.errors import UserError


def test_weights_are_in_the_model():
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)

    load_fitting(model, dict(state_dict=other.state_dict()))

    assert torch.equal(model.weight, other.weight)


@pytest.mark.parametrize('role', ['teacher', 'detector'])
def test_a_misfit_is_told_of_the_section_that_names_it(role):
    weights = dict(weight=torch.zeros(2, 2))

    with pytest.raises(
        UserError, match=rf'the {role} checkpoint misses 1 .* distill\.{role}\.config'
    ):
        load_fitting(nn.Linear(2, 2), weights, role)
