from __future__ import annotations

import logging

import pytest
from mmengine.logging import MessageHub

from mmdistill.engine.hooks.label_mix_hook import warn_if_mix_changed
from tests.helpers.pseudo import Pseudo


@pytest.fixture
def warnings(logged_levels):
    """Warnings that were logged."""
    return lambda: [line for level, line in logged_levels if level == logging.WARNING]


def pseudo(root, selection) -> Pseudo:
    return Pseudo(7, 80, selection, root)


def resumed(hub: MessageHub) -> MessageHub:
    """The hub of a process that loads a checkpoint."""
    other = MessageHub(f'{hub.instance_name} resumed')
    other.load_state_dict(hub.state_dict())
    return other


def test_the_same_samples_are_resumed_in_silence(make_selection, warnings):
    hub = MessageHub('same')
    sources = [range(9)], [pseudo('a', make_selection(0.5))]
    warn_if_mix_changed(hub, *sources)

    warn_if_mix_changed(resumed(hub), *sources)

    assert warnings() == []


def test_labels_that_were_selected_anew_are_told(make_selection, warnings):
    hub = MessageHub('anew')
    same = pseudo('a', make_selection(0.5))
    warn_if_mix_changed(hub, [range(9)], [same, pseudo('b', make_selection(0.5))])
    hub = resumed(hub)

    now = [range(9)], [same, pseudo('b', make_selection(0.6))]
    warn_if_mix_changed(hub, *now)
    warn_if_mix_changed(resumed(hub), *now)

    (warning,) = warnings()
    before, after = warning.split(' before, ')
    assert 'b: instance score threshold 0.5000' in before
    assert 'b: instance score threshold 0.6000' in after
    assert warning.count('instance score threshold') == 2


def test_a_source_that_joined_is_told(make_selection, warnings):
    hub = MessageHub('joined')
    warn_if_mix_changed(hub, [range(9)], [pseudo('a', make_selection(0.5))])

    warn_if_mix_changed(
        resumed(hub), [range(9), range(4)], [pseudo('a', make_selection(0.5))]
    )

    (warning,) = warnings()
    assert 'nothing before, 4 labeled instances now' in warning
