"""The sentence that an audit ends in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.metrics import summary_sentence
from mmdistill.audits.result import Audit, ErrorSummary
from tests.helpers.audit_example import EXAMPLE

MATCHED = replace(
    Audit.from_json(EXAMPLE).matched,
    score_thrs=(0.25,),
    kept=12,
    error=ErrorSummary(0.125, 0.0625),
)
(PART,) = MATCHED.parts


def test_it_states_the_share_of_wrong_labels_and_the_error():
    assert summary_sentence(MATCHED, true_boxes=False) == (
        'At the matched threshold 0.250 about 12% of the pseudo-labeled instances are '
        'wrong (OKS below 0.5; 12 were looked at) and a visible keypoint is off by '
        "0.125 of the instance's size on average (median 0.062)."
    )


@pytest.mark.parametrize(
    ('changes', 'start'),
    [
        (dict(rule='score'), 'At the given threshold 0.250 about'),
        (
            dict(score_thrs=(0.25, 0.5, 0.75)),
            'At the matched thresholds 0.250 to 0.750',
        ),
        (
            dict(by='view agreement'),
            'At the matched threshold 0.250 of the view agreement about',
        ),
    ],
)
def test_it_names_what_was_compared(changes, start):
    assert summary_sentence(replace(MATCHED, **changes), true_boxes=False).startswith(
        start
    )


def test_several_sources_are_mentioned():
    parts = tuple(replace(PART, source=source) for source in ('a', 'a', ''))
    sentence = summary_sentence(replace(MATCHED, parts=parts), true_boxes=False)
    assert 'are of none of the 2 sources, so each' in sentence
    assert sentence.endswith('and counts by its labels in the unlabeled set.')
    assert 'sources' not in summary_sentence(MATCHED, true_boxes=False)


def test_true_boxes_are_mentioned():
    sentence = summary_sentence(MATCHED, true_boxes=True)
    assert 'at least about 12% of the pseudo-labeled' in sentence
    assert 'in true boxes' in sentence
    assert 'in true boxes' not in summary_sentence(MATCHED, true_boxes=False)


def test_where_nothing_is_known_it_says_so():
    assert summary_sentence(
        replace(MATCHED, precision={'0.5': np.nan}), true_boxes=False
    ) == (
        'At the matched threshold 0.250 no candidate on the audited images would be a '
        'pseudo-label.'
    )
