"""What is said of what labels can be worth, and its file."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan, nan

import pytest
from mmengine.config import Config

from mmdistill.audits.label_worth import (
    LEAST_GAIN,
    WORTH_FILE,
    LabelWorth,
    read_label_worth,
)
from mmdistill.audits.worth_run import _advice
from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.functional.label_quality import PairedGain

WORTH = LabelWorth(
    ann_file='val.json',
    boxes='the whole image',
    images=200,
    listed=1000,
    trained_on=0,
    keypoints=2000,
    teachers=1,
    errors={'single view': 0.1, 'flip': 0.09, 'fused': 0.08},
    precision={'single view': 0.3, 'flip': 0.35, 'fused': nan},
    gain=PairedGain(0.2, 0.03),
    gain_over_flip=PairedGain(0.11, 0.02),
    advice=('a second teacher', 'noise'),
    made_by='abc',
    measured_on='val-1',
)
NOTHING = PairedGain(nan, nan)


def test_errors_gains_and_their_standard_errors_are_said():
    measured, meaning = WORTH.sentences()
    assert measured == (
        'on 200 images of 1000 of val.json that the teacher was not trained on, in '
        "the whole image, a keypoint is off by 0.1000 of the instance's size by the "
        'teacher in a single view, by 0.0900 with its mirror image, and by 0.0800 in '
        'the fused views of the labels (2000 keypoints); AP 0.300, 0.350 and -'
    )
    assert meaning == (
        'the labels are 20.0% (standard error 3.0%) nearer to the truth than the '
        'teacher in a single view, and 11.0% (standard error 2.0%) nearer to it than '
        'with the mirror image: that is the most that a student can learn from them '
        'alone'
    )
    assert not WORTH.warning()
    assert not WORTH.doubt()


def test_what_was_left_out_and_several_teachers_are_said():
    worth = replace(WORTH, trained_on=7, teachers=3, images=1, listed=1)
    measured, meaning = worth.sentences()
    assert measured.startswith(
        'on 1 image of val.json that the teacher was not trained'
    )
    assert 'trained on, without the 7 that it was, in the whole image' in measured
    assert 'than the 3 teachers together in a single view' in meaning


def test_labels_that_are_the_flip_are_compared_once():
    _, meaning = replace(WORTH, gain_over_flip=PairedGain(0.0, 0.0)).sentences()
    assert 'mirror' not in meaning


@pytest.mark.parametrize(
    ('gain', 'warning', 'doubt'),
    [
        (PairedGain(LEAST_GAIN, 0.001), '', False),
        (PairedGain(LEAST_GAIN, 0.1), '', True),
        (PairedGain(0.5, nan), '', True),
        (
            PairedGain(0.029, 0.0001),
            'almost nothing, less than 3% of the error:',
            False,
        ),
        (PairedGain(0.02, 0.01), 'error by what 200 images can tell:', False),
        (PairedGain(-0.01, 0.01), 'almost nothing', False),
        (PairedGain(-0.05, 0.01), 'worse than the teacher in a single view:', False),
        (NOTHING, '', False),
    ],
)
def test_a_warning_is_of_a_small_gain_and_a_doubt_of_an_unclear_one(
    gain, warning, doubt
):
    worth = replace(WORTH, gain=gain)
    assert warning in worth.warning()
    assert bool(worth.warning()) == bool(warning)
    assert bool(worth.doubt()) == doubt
    if warning:
        assert worth.warning().endswith('; try a second teacher, or noise')


def test_labels_of_another_model_bound_nothing_and_need_not_gain_by_fusing():
    little = replace(WORTH, gain=PairedGain(-0.05, 0.01), of_another_model=True)
    assert 'a student of another model can learn' in little.sentences()[1]
    assert 'the most that a student' not in little.sentences()[1]
    assert not little.warning()
    assert replace(little, of_another_model=False).warning()


def test_where_nothing_is_common_nothing_is_known():
    worth = replace(WORTH, gain=NOTHING, gain_over_flip=NOTHING, keypoints=0)
    (sentence,) = worth.sentences()
    assert sentence.endswith('so what they can be worth is not known')


def test_the_file_gives_back_what_was_measured(tmp_path):
    assert read_label_worth(tmp_path) is None
    text = json.dumps(WORTH.to_json(), allow_nan=False)
    (tmp_path / WORTH_FILE).write_text(text)

    back = read_label_worth(tmp_path)

    assert isnan(back.precision['fused'])
    known = dict(back.precision, fused=0.5)
    assert replace(back, precision=known) == replace(WORTH, precision=known)


@pytest.mark.parametrize(
    'changes',
    [dict(images='7'), dict(gain=3), dict(errors={}), dict(advice=None), dict(boxes=1)],
)
def test_another_file_is_refused_with_a_way_on(tmp_path, changes):
    content = dict(WORTH.to_json(), **changes)
    (tmp_path / WORTH_FILE).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'remove it, tools/train\.py measures again'):
        read_label_worth(tmp_path)


def recipe(**distill) -> Recipe:
    section = dict(teacher={}, unlabeled={}, store='labels') | distill
    return Recipe.of(Config(dict(distill=section)))


CLEAR, UNCLEAR = PairedGain(0.02, 0.001), PairedGain(0.02, 0.02)
VIEWS = dict(scales=(0.9, 1.0, 1.1))


def test_views_come_first_where_they_help_or_there_are_none():
    assert 'scales' in _advice(recipe(), CLEAR, PairedGain(0.0, 0.0))[0]
    assert 'rotations' in _advice(recipe(views=VIEWS), CLEAR, CLEAR)[0]


def test_other_errors_come_first_where_views_do_not_help():
    advice = _advice(recipe(views=VIEWS), UNCLEAR, UNCLEAR)
    assert 'teachers' in advice[0]
    assert 'resolutions' in advice[-1]


def test_views_that_harm_are_to_change_less():
    assert 'change less' in _advice(recipe(), PairedGain(-0.1, 0.01), CLEAR)[0]


def test_what_is_there_already_is_not_advised():
    everything = recipe(
        teacher=['a.pth', 'b.pth'],
        views=dict(VIEWS, rotations=(30,), resolutions=(1.0, 1.5)),
        noise=dict(occlusion=None),
    )
    (only,) = _advice(everything, UNCLEAR, UNCLEAR)
    assert 'distill.rounds' in only


@pytest.mark.parametrize(
    'followed',
    [
        dict(views=dict(rotations=(-30, 30))),
        dict(views=dict(resolutions=(1.0, 1.5))),
        dict(views=VIEWS),
        dict(noise=dict(occlusion=None)),
        dict(teacher=['a.pth', 'b.pth']),
        dict(rounds=dict()),
    ],
)
def test_advice_that_is_followed_is_taken_by_the_section_and_not_repeated(followed):
    before = _advice(recipe(), UNCLEAR, UNCLEAR)
    after = _advice(recipe(**followed), UNCLEAR, UNCLEAR)
    assert len(after) == len(before) - 1
