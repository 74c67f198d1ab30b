"""Failed images of a finished store."""

from __future__ import annotations

import pytest

from mmdistill.engine.loops.failure_limit import check_failures
from mmdistill.errors import TooManyFailuresError


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Ten images, two of which failed."""
    return make_store(tmp_path, make_rows((1, None, 0, 2, 1, None, 1, 1, 1, 1)))


def test_failures_are_reported_by_reason(store, logged):
    check_failures(store, 1)
    assert logged == ['2 of 10 images failed (20.00%)', '  2: no such file']


def test_nothing_is_reported_for_none(tmp_path, make_store, make_rows, logged):
    assert check_failures(make_store(tmp_path, make_rows((1, 0))), 0) is None
    assert logged == []


def test_the_share_itself_is_accepted(store, logged):
    assert check_failures(store, 0.2) is None


def test_more_than_the_share_is_an_error_with_code_1(store, logged):
    error = check_failures(store, 0.19)
    assert isinstance(error, TooManyFailuresError)
    assert error.exit_code == 1
    assert 'more than max_failures 19.00%; 2 because: no such file' in str(error)


def test_a_store_without_any_image_read_is_an_error_at_once(
    tmp_path, make_store, make_rows, logged
):
    with pytest.raises(TooManyFailuresError, match='3 of 3 images'):
        check_failures(make_store(tmp_path, make_rows((None,) * 3)), 0.05)
