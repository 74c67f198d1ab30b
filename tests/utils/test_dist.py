"""One process asks, all hear; several processes are with `shared_store`."""

from __future__ import annotations

import pytest

from mmdistill.errors import UserError
from mmdistill.utils.dist import run_on_rank_zero


def refuse():
    raise UserError('a sentence')


def test_alone_the_answer_is_the_answer():
    assert run_on_rank_zero(lambda: 7) == 7
    with pytest.raises(UserError, match='a sentence'):
        run_on_rank_zero(refuse)
