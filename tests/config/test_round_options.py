"""Options of rounds that contradict each other."""

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.config.round_options import RoundsConfig
from mmdistill.errors import ConfigError


def read(**rounds):
    section = dict(teacher=dict(), unlabeled=dict(), rounds=rounds)
    return Recipe.of(Config(dict(distill=section, work_dir='work'))).distill


def test_an_empty_section_has_three_rounds():
    distill = read()
    assert distill.rounds == RoundsConfig()
    assert (distill.rounds.number, distill.rounds.students) == (3, 1)
    assert distill.store == 'work/round_1/labels'


def test_rounds_without_settings_of_their_own_have_none():
    rounds = read(settings=[dict(mixing=dict(labeled_share=0.5))]).rounds
    assert rounds.of_round(1) == dict(mixing=dict(labeled_share=0.5))
    assert rounds.of_round(2) == {}


@pytest.mark.parametrize(
    ('rounds', 'sentence'),
    [
        (dict(number=0), r'distill\.rounds\.number must be a whole number of at least'),
        (dict(start='teacher'), r"start must be one of 'backbone', 'previous', got"),
        (dict(stop=2), r'stop must be a number from 0 to 1, got 2'),
        (dict(number=1, settings=[{}, {}]), r'at most number 1, got 2'),
        (dict(stops=0.1), r'distill\.rounds has no stops; did you mean stop\?'),
    ],
)
def test_what_cannot_be_is_refused(rounds, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read(**rounds)


def test_a_recipe_without_rounds_still_needs_a_store():
    section = dict(teacher=dict(), unlabeled=dict())
    with pytest.raises(ConfigError, match='has no store'):
        Recipe.of(Config(dict(distill=section)))
