from __future__ import annotations

import pytest

from mmdistill.errors import UserError


@pytest.fixture(scope='module')
def arms(load):
    return load('gap_recovery.arms')


def test_ingredients_are_joined_in_their_order_whatever_is_typed(arms):
    (arm,) = arms.students(['finish+weights+noise'], [])
    assert arm.name == 'weights+noise+finish'
    assert arm.ingredients == ('weights', 'noise', 'finish')
    assert arm.title == 'student, fusion + weights + noise + finish'


def test_an_arm_is_compared_with_the_one_before_it(arms):
    one, three = arms.students(['noise', 'weights+noise+finish'], [])
    assert one.before[0] == 'fusion'
    assert three.before[:2] == ('weights+noise', 'fusion')


def test_all_are_the_recipes_own_ingredients_or_all_that_are_known(arms):
    (own,) = arms.students(['all'], ['noise', 'finish'])
    assert own.name == 'noise+finish'
    (known,) = arms.students(['all'], [])
    # A large teacher is of a config that the recipe states.
    assert {'large_teacher', *known.ingredients} == {*arms.INGREDIENTS}


def test_by_default_each_ingredient_is_added_to_fusion_alone_then_all(arms):
    names = arms.default_arms(['noise', 'finish'])
    found = {arm.name: arm for arm in arms.students(names, ['noise', 'finish'])}
    assert [*found] == [
        *('fusion', 'noise+finish', 'noise', 'finish'),
        *('single_view', 'all_candidates', 'flip'),
    ]
    assert 'upper_bound' in names


def test_of_a_detector_only_what_it_states_is_added(arms):
    assert arms.default_arms([], of_boxes=True) == (
        ['fusion', 'upper_bound', 'single_view', 'all_candidates', 'flip']
    )
    assert arms.default_arms(['finish'], of_boxes=True)[:4] == (
        ['fusion', 'all', 'upper_bound', 'finish']
    )


def test_an_arm_comes_once(arms):
    found = arms.students(['noise', 'all', 'noise'], ['noise'])
    assert [arm.name for arm in found] == ['noise']


@pytest.mark.parametrize('name', ['nois', 'noise+fusion', '', 'noise+'])
def test_an_unknown_arm_is_refused_with_those_there_are(arms, name):
    with pytest.raises(UserError, match=r'fusion, .*joined by \+, of large_t') as error:
        arms.students([name], [])
    for known in ('single_view', 'all', 'upper_bound', 'weights', 'ema'):
        assert known in str(error.value)


def test_arms_with_the_same_views_and_teachers_share_labels(arms):
    names = ['fusion', 'noise', 'all_candidates', 'resolutions', 'resolutions+noise']
    fusion, noise, candidates, sharp, both = arms.students(names, [])
    assert fusion.labels == noise.labels == candidates.labels == 'labels_fusion'
    assert sharp.labels == both.labels == 'labels_fusion+resolutions'


@pytest.mark.parametrize('stated', [(), ('noise',), ('noise', 'finish')])
def test_settings_turn_on_what_is_unstated_and_off_what_is_not_wanted(arms, stated):
    options = arms.ingredient_options(['noise'], stated, of_labels=False)
    assert (
        options
        == {
            (): ['distill.noise.sources=None'],
            ('noise',): [],
            ('noise', 'finish'): ['distill.finish=None'],
        }[stated]
    )


def test_labels_have_settings_of_their_own(arms):
    options = arms.ingredient_options(['resolutions', 'noise'], [], of_labels=True)
    assert options == ['distill.views.resolutions=[1.0,1.33]']
    options = arms.ingredient_options([], ['resolutions'], of_labels=True)
    assert options == ['distill.views.resolutions=[1.0]']


def test_settings_of_an_ingredient_reach_the_arms_that_have_it(arms):
    options = [
        'distill.noise.color=False',
        'distill.noise_free=1',
        'distill.mixing.labeled_share=0.3',
    ]
    assert arms.fitting_options(['noise'], options) == options
    assert arms.fitting_options(['finish'], options) == options[1:]


def test_supervised_trainings_get_what_does_not_take_labels(arms):
    found = arms.students(['fusion', 'weights+noise', 'ema', 'resolutions'], [])
    assert arms.shared_ingredients(found) == ('noise', 'ema')
    assert arms.shared_ingredients(found[:1]) == ()
