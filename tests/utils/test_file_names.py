"""Names of files as text."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.utils.files import file_name, spelled_name

PIECES = ['\\', 'u', 'u005c', 'u0000', 'udc', 'ff', 'd8', '00', '/', '.jpg', 'é', '\0']
NAMES = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())),
    st.lists(st.sampled_from([*PIECES, '\udcff', '\ud800'])).map(''.join),
)


@given(NAMES)
def test_each_name_has_a_spelling_of_its_own_that_leads_back(name):
    spelled = spelled_name(name)
    assert file_name(spelled) == name
    assert '\0' not in spelled.encode('utf-8').decode('utf-8')


@given(st.binary(max_size=20))
def test_any_bytes_lead_back_to_their_file(name):
    assert os.fsencode(file_name(spelled_name(os.fsdecode(name)))) == name


@pytest.mark.parametrize('name', ['a b', 'zwölf 🙂.png', 'a\nb', 'x\\y.jpg', '\\x41'])
def test_a_name_that_is_text_stays(name):
    assert spelled_name(name) == name


@pytest.mark.parametrize(
    ('name', 'spelled'),
    [
        ('\udcff.jpg', '\\udcff.jpg'),
        ('a\0b', 'a\\u0000b'),
        ('\\udcff.jpg', '\\u005cudcff.jpg'),
        ('\\u005c', '\\u005cu005c'),
    ],
)
def test_what_is_no_text_is_spelled_as_json_does(name, spelled):
    assert spelled_name(name) == spelled
