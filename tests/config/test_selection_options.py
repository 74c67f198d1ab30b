"""Wrong options are refused with a sentence."""

from __future__ import annotations

import pytest

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(labeled_images='some'), "labeled_images must be one of .*, got 'some'"),
        (dict(group_by='image'), "group_by must be one of .*, got 'image'"),
        (dict(categories=3), 'categories must be one of .*, got 3'),
        (dict(criterion='luck'), "criterion must be one of .*, got 'luck'"),
        (dict(min_thr='low'), "min_thr must be a number or None, got 'low'"),
        (dict(max_thr=float('inf')), 'max_thr must be a number or None, got inf'),
        (dict(score_thr=True), 'score_thr must be a number or None, got True'),
        (dict(min_thr=0.5, max_thr=0.4), 'got min_thr 0.5 and max_thr 0.4'),
        (dict(keypoint_thr=float('nan')), 'keypoint_thr must be a number .*, got nan'),
        (dict(keypoint_thr='a'), "keypoint_thr must be a number .*, got 'a'"),
        (dict(keypoint_thr=None), 'keypoint_thr must be a number .*, got None'),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        SelectionOptions(**options)


def test_a_given_keypoint_threshold_counts_for_instances_too():
    given, matched = (
        SelectionOptions(keypoint_thr=0.4),
        SelectionOptions(keypoint_thr='count'),
    )
    assert (given.matches_keypoints, given.counted_thr) == (False, 0.4)
    assert (matched.matches_keypoints, matched.counted_thr) == (True, 0.2)
