"""What is advised follows from what was measured, and from nothing else."""

import json

import numpy as np
import pytest

from mmdistill.audits.result import Audit, Curve, ErrorSummary, MatchedMetrics
from mmdistill.functional.bootstrap import Interval
from mmdistill.pipeline.advice import Measured, label_worth, last_losses, next_steps
from mmdistill.pipeline.verdict import Comparison, Verdict


def verdict(low: float, high: float, images: int = 40) -> Verdict:
    interval = Interval((low + high) / 2, low, high)
    return Verdict('student', images, {}, (Comparison('teacher', {'OKS': interval}),))


WORSE, BETTER, EITHER = verdict(-0.2, -0.1), verdict(0.1, 0.2), verdict(-0.0625, 0.1875)


def audit(precision: float, curve: list[float], recall: list[float], **gains) -> Audit:
    return Audit(
        matched=MatchedMetrics(
            by='score',
            rule='count',
            score_thrs=(0.25,),
            keypoint_thrs=(),
            kept=100,
            error=ErrorSummary(0.1, 0.1),
            precision={'0.5': precision},
            recall={'0.5': 0.8},
            parts=(),
        ),
        curve=Curve(
            np.array([0.25, 0.5, 0.75]),
            {'0.5': np.array(curve)},
            {'0.5': np.array(recall)},
        ),
        gains={name.replace('_', ' '): value for name, value in gains.items()},
        verdict='About 30% are wrong.',
    )


def measured(audit=None, losses=None, is_noised=True) -> Measured:
    return Measured('mine/student.py', audit, None, losses, is_noised)


def test_a_better_student_needs_no_advice():
    rough = audit(0.5, [0.5, 0.9, 1.0], [0.8, 0.7, 0.1])
    assert next_steps(BETTER, measured(rough)) == []


def test_a_threshold_that_finds_better_labels_is_named():
    rough = audit(0.7, [0.7, 0.875, 0.99], [0.8, 0.6, 0.3])
    (sentence,) = next_steps(WORSE, measured(rough))
    assert sentence == (
        '70% of the kept labels are right (OKS 0.5); at the threshold 0.500 88% are, '
        'and 75% of them remain: python tools/select_labels.py mine/student.py '
        '--score-thr 0.500'
    )


def test_where_no_threshold_helps_the_teacher_is_at_fault():
    rough = audit(0.7, [0.7, 0.71, 0.99], [0.8, 0.6, 0.3])
    (sentence,) = next_steps(WORSE, measured(rough))
    assert 'a better teacher' in sentence


def test_good_labels_keep_their_threshold():
    good = audit(0.95, [0.95, 0.99, 1.0], [0.8, 0.7, 0.5])
    (sentence,) = next_steps(WORSE, measured(good))
    assert sentence.startswith('Nothing that was measured points to one setting')


@pytest.mark.parametrize(('fused', 'advised'), [(0.5, True), (0.7, False)])
def test_views_that_label_no_better_than_one_are_named(fused, advised):
    good = audit(0.95, [1.0], [0.8], single_view=0.6, fused=fused)
    sentences = next_steps(WORSE, measured(good))
    assert any('distill.views.scales' in each for each in sentences) == advised
    assert label_worth(good).endswith(
        f'Their AP on the audited images is {fused:.3f}, and 0.600 in a single view.'
    )


@pytest.mark.parametrize(
    ('losses', 'is_noised', 'setting'),
    [
        ((0.1, 0.2), False, 'distill.mixing.labeled_share'),
        ((0.2, 0.2), False, 'distill.noise=dict()'),
        ((0.2, 0.2), True, None),
        ((0.1, 0.2), True, 'distill.mixing.labeled_share'),
    ],
)
def test_noise_and_share_follow_from_both_losses(losses, is_noised, setting):
    sentences = next_steps(WORSE, measured(losses=losses, is_noised=is_noised))
    named = [
        name
        for name in ('distill.mixing.labeled_share', 'distill.noise=dict()')
        if any(name in each for each in sentences)
    ]
    assert named == [setting] * bool(setting)


def test_an_undecided_difference_asks_for_images():
    (sentence,) = next_steps(EITHER, measured())
    # Half of the interval is twice the difference: four times the images.
    assert sentence.endswith('on about 160 validation images, and there are 40')


def test_a_difference_that_no_set_would_tell_is_as_good_as_none():
    tiny = verdict(-0.1 + 1e-4, 0.1 + 1e-4)

    (sentence,) = next_steps(tiny, measured(is_noised=True))

    assert tiny.images_to_tell() > 10**7
    assert sentence == (
        'the difference is as good as none: not even 20000 validation images would '
        'tell it from chance, and there are 40'
    )


def test_losses_are_those_of_the_end_of_the_log(tmp_path):
    path = tmp_path / '2026/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    lines = [
        json.dumps({'loss_kpt/labeled': 1.0 / n, 'loss_kpt/pseudo': 2.0 / n})
        for n in range(1, 11)
    ]
    # A validation, and half of a line.
    lines += [json.dumps({'coco/AP': 0.5}), lines[0][:9]]
    path.write_text('\n'.join(lines))
    labeled, pseudo = last_losses(tmp_path)
    assert labeled == pytest.approx((1 / 9 + 1 / 10) / 2)
    assert pseudo == pytest.approx(2 * labeled)
    assert last_losses(tmp_path / '2026/vis_data/none') is None


def test_labels_that_were_not_audited_have_no_known_worth():
    assert 'is not known' in label_worth(None)
    assert label_worth(Audit(verdict='Good.')) == 'The labels: Good.'
