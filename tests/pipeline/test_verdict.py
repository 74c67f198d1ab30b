"""The table and the sentence, by fabricated results of each image."""

import json

import numpy as np
import pytest

from mmdistill.errors import ConfigError, DataError
from mmdistill.pipeline.evaluation import ImageResults
from mmdistill.pipeline.verdict import (
    compare_models,
    verdict_sentence,
    verdict_table,
)
from tests.helpers.distilling import write_images
from tests.helpers.workshop import call_tool

RNG = np.random.default_rng(0)
TEACHER = RNG.uniform(0.3, 0.6, 40)
GAIN = RNG.normal(0.1, 0.05, 40)
LUCK = RNG.normal(0.0, 0.2, 40)


def verdict_of(tmp_path, larger=(), **oks):
    results = {}
    for name, values in oks.items():
        path = tmp_path / f'{name}.json'
        write_images(path, [float(value) for value in values])
        results[name] = ImageResults.read(path)
    return compare_models(results, larger)


def test_a_student_that_gains_on_the_images_is_better(tmp_path):
    verdict = verdict_of(tmp_path, student=TEACHER + GAIN, teacher=TEACHER)
    assert verdict.better
    interval = verdict.comparisons[0].decisive
    assert interval.difference == pytest.approx(GAIN.mean(), abs=1e-9)
    half = 1.96 * GAIN.std() / np.sqrt(40)
    assert interval.low == pytest.approx(GAIN.mean() - half, abs=0.15 * half)
    sentence = verdict_sentence(verdict)
    assert sentence.startswith(
        'The student is better than the teacher on the 40 validation images: its mean '
        f'OKS is {np.mean(TEACHER + GAIN):.3f}, and +'
    )


def test_luck_is_neither(tmp_path):
    verdict = verdict_of(tmp_path, student=TEACHER + LUCK, teacher=TEACHER)
    assert not verdict.better
    assert 'is neither better nor worse than the teacher' in verdict_sentence(verdict)
    interval = verdict.comparisons[0].decisive
    half = (interval.high - interval.low) / 2
    # On so many images the half is the difference itself.
    expected = 40 * (half / interval.difference) ** 2
    assert verdict.images_to_tell() == pytest.approx(expected, abs=1)


def test_a_worse_student_is_called_so(tmp_path):
    verdict = verdict_of(tmp_path, student=TEACHER - GAIN, teacher=TEACHER)
    assert 'The student is worse than the teacher' in verdict_sentence(verdict)
    assert verdict.images_to_tell() is None


def test_it_must_be_better_than_all(tmp_path):
    student = TEACHER + GAIN
    verdict = verdict_of(
        tmp_path, student=student, teacher=TEACHER, baseline=student + GAIN
    )
    assert not verdict.better
    assert (
        'is better than the teacher, worse than the baseline on the 40'
        in verdict_sentence(verdict)
    )
    both = verdict_of(tmp_path, student=student, teacher=TEACHER, baseline=TEACHER)
    assert both.better
    assert 'is better than the teacher and the baseline' in verdict_sentence(both)


def test_a_larger_teacher_may_stay_ahead(tmp_path):
    student = TEACHER + GAIN
    oks = dict(student=student, teacher=student + GAIN, baseline=TEACHER)
    assert not verdict_of(tmp_path, **oks).better
    verdict = verdict_of(tmp_path, larger=['teacher'], **oks)
    assert verdict.better
    sentence = verdict_sentence(verdict)
    assert 'better than the baseline, worse than the teacher on the 40' in sentence
    assert sentence.endswith(
        'The teacher has a model of another config, so the baseline decides.'
    )
    tie = verdict_of(
        tmp_path,
        larger=['teacher'],
        student=TEACHER,
        teacher=TEACHER + LUCK,
        baseline=TEACHER - GAIN,
    )
    assert tie.images_to_tell() is None


def test_few_images_tell_nothing(tmp_path):
    verdict = verdict_of(tmp_path, student=[0.9] * 9, teacher=[0.1] * 9)
    assert not verdict.better
    assert 'It cannot be told' in verdict_sentence(verdict)
    assert 'there are 9 validation images, and 10 are the least' in verdict_sentence(
        verdict
    )


def test_the_table_has_means_and_differences(tmp_path):
    verdict = verdict_of(tmp_path, student=[0.75] * 12, teacher=[0.5] * 12)
    metrics = {'student': {'AP': 0.25}, 'teacher': {'AP': 0.125}}
    lines = verdict_table(verdict, metrics).splitlines()
    assert lines[0].split() == ['OKS', 'PCK@0.2', 'PCK@0.05', 'AP']
    assert lines[2].split() == ['teacher', '0.5000', '1.0000', '0.0000', '0.1250']
    assert lines[3].split() == ['student', '0.7500', '1.0000', '0.0000', '0.2500']
    assert lines[4].startswith('student - teacher  +0.2500 [+0.2500, +0.2500]')


def test_models_of_other_images_are_not_compared(tmp_path):
    with pytest.raises(DataError, match='tested on other instances'):
        verdict_of(tmp_path, student=[0.5] * 12, teacher=[0.5] * 11)
    with pytest.raises(ConfigError, match='nothing to compare student with'):
        verdict_of(tmp_path, student=[0.5] * 12)


def test_instances_of_an_image_are_one_value(tmp_path):
    """In any order of the instances."""
    path = tmp_path / 'a.json'
    content = dict(
        format=1,
        images=['b', 'a', 'b'],
        oks=[0.5, 0.25, 1.0],
        errors=[[0.1, 0.3], [0.01, None], [0.1, None]],
    )
    path.write_text(json.dumps(content))
    results = ImageResults.read(path)
    assert results.images == ('a', 'b')
    assert results.instances == 3
    assert results.values['OKS'].tolist() == [0.25, 0.75]
    assert results.values['PCK@0.2'].tolist() == [1.0, pytest.approx(2 / 3)]
    assert results.values['PCK@0.05'].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    'content', [[], {}, dict(format=2), dict(format=1, images=['a'], oks=[], errors=[])]
)
def test_another_file_is_a_sentence(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r'must be what tools/test\.py --per-image'):
        ImageResults.read(path)


def test_files_are_compared_by_the_tool(tmp_path, capsys):
    student, teacher = tmp_path / 's.json', tmp_path / 't.json'
    write_images(student, [0.75] * 12)
    write_images(teacher, [0.5] * 12)
    sources = [f'student={student}', f'teacher={teacher}']
    assert call_tool('compare_results', '--per-image', *sources) == 0
    out = capsys.readouterr().out
    assert 'student - teacher  +0.2500 [+0.2500, +0.2500]' in out
    assert 'The student is better than the teacher on the 12 tested images' in out
    assert call_tool('compare_results', '--per-image', sources[0], sources[0]) == 2
    assert 'each name once' in capsys.readouterr().err
