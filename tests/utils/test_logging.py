"""Lines about long work."""

from __future__ import annotations

from mmdistill.utils import logging


def test_items_pass_and_lines_report_how_many_are_done(monkeypatch, logged):
    clock = iter(range(0, 100, 4))
    monkeypatch.setattr(logging.time, 'monotonic', lambda: next(clock))
    assert list(logging.log_progress('abcdef', 6, 'letters are read')) == list('abcdef')
    assert logged == ['3 of 6 letters are read', '6 of 6 letters are read']
