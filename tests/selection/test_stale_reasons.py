from __future__ import annotations

from dataclasses import replace

from mmdistill.selection.selection import stale_reasons


def test_a_selection_of_the_same_things_holds(make_selection):
    selection = make_selection(0.5)

    assert stale_reasons(selection, selection.options, selection.labeled, True) == []


def test_every_change_is_named(make_selection):
    selection = make_selection(0.5)
    options = replace(selection.options, labeled_images='annotated', score_thr=None)
    labeled = replace(selection.labeled, fingerprint='def', instances=7)

    assert stale_reasons(selection, options, labeled, current=False) == [
        'the store has other images than when it was made',
        'it was matched to another labeled set (6 instances, now 7)',
        "labeled_images was 'all' and is 'annotated'",
        'score_thr was 0.5 and is None',
    ]
