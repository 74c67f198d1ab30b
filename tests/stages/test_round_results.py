"""What is known of a round's students, and how it is reported."""

import json

import pytest

from mmdistill.selection.round_changes import RoundLabels
from mmdistill.stages.round_results import (
    RoundResult,
    by_metric,
    false_confidence,
    round_line,
    student_metrics,
)


def result(number=2, agreement=0.8, moved=0.25, **more) -> RoundResult:
    labels = RoundLabels((0.25,), 20, 15, 100, 0.5, agreement, moved)
    return RoundResult(number, labels, **more)


def test_the_last_validation_of_the_last_run_counts(tmp_path):
    lines = {
        '20260101_000000': [{'coco/AP': 0.9, 'time': 1, 'step': 9}],
        '20260102_000000': [
            {'mix/labeled_instances': 9, 'count_matching/threshold': 0.5, 'step': 0},
            {'lr': 0.1, 'loss': 0.5, 'acc_pose': 0.5, 'step': 1},
            {'coco/AP': 0.1, 'PCK': 0.2, 'data_time': 1, 'time': 1, 'step': 1},
            {'coco/AP': 0.25, 'PCK': 0.5, 'data_time': 1, 'time': 1, 'step': 2},
            {'mix/seen_labeled': 6, 'step': 2},
        ],
    }
    for name, entries in lines.items():
        path = tmp_path / name / 'vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        text = '\n'.join(json.dumps(entry) for entry in entries)
        path.write_text(text + '\n{"coco/AP": 0.')  # a run was killed here
    assert student_metrics(tmp_path) == {'coco/AP': 0.25, 'PCK': 0.5}
    (tmp_path / 'metrics.json').write_text('{"coco/AP": 0.75, "PCK": null}')
    assert student_metrics(tmp_path) == {'coco/AP': 0.75}


def test_a_student_without_validation_has_no_metrics(tmp_path):
    assert student_metrics(tmp_path / 'none') == {}


def test_only_metrics_of_all_students_are_compared():
    assert by_metric([dict(a=1.0, b=2.0), dict(b=3.0)]) == dict(b=[2.0, 3.0])
    assert by_metric([]) == {}
    assert by_metric([{}, dict(a=1.0)]) == {}


def test_a_round_is_one_line():
    line = round_line(
        result(results={'AP': [0.5, 0.25]}, holdout={'PCK': [0.5, 0.5]}), 3
    )
    assert line == (
        'round 2 of 3: threshold 0.250, 15 of 20 candidates kept, mean score 0.500, '
        'agreement 0.800, 25.0% of the kept keypoints moved, AP 0.3750, PCK 0.5000 on '
        'holdout'
    )
    assert 'moved' not in round_line(result(moved=None), 3)


def test_a_round_reads_back_equal():
    written = result(results={'AP': [0.5]}, holdout={'AP': [0.25]})
    assert RoundResult.from_json(json.loads(json.dumps(written.as_json()))) == written


@pytest.mark.parametrize(
    ('agreement', 'moved', 'warns'),
    [(0.8, 0.1, True), (0.8, 0.09, False), (0.5, 0.5, False), (0.4, 0.5, False)],
)
def test_agreement_that_rises_on_labels_that_move_is_warned_of(agreement, moved, warns):
    before = result(1, agreement=0.5, moved=None)
    assert bool(false_confidence(result(2, agreement, moved), before)) == warns
    assert false_confidence(before, None) == ''
