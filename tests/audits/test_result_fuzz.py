"""Whatever stands in an audit.json: a sentence, or a page."""

from __future__ import annotations

import json
import random

import pytest

from mmdistill.audits.result import read_audit
from mmdistill.errors import UserError
from mmdistill.reports.figures import audit_plots, gains_plot
from tests.helpers.audit_example import EXAMPLE
from tests.helpers.changed_json import variants

CHANGES = 300
DRAWN = 4


def test_another_value_is_a_sentence_or_is_drawn(tmp_path):
    refused = drawn = 0
    for variant in variants(EXAMPLE, 'audit', CHANGES):
        (tmp_path / 'audit.json').write_text(json.dumps(variant))
        try:
            audit = read_audit(tmp_path)
        except UserError:
            refused += 1
            continue
        assert audit is not None
        if drawn < DRAWN:
            drawn += 1
            audit_plots(audit)
            gains_plot(audit)
    assert refused > CHANGES / 4
    assert drawn == DRAWN


def test_a_changed_byte_is_a_sentence_or_a_value(tmp_path):
    data = json.dumps(EXAMPLE).encode()
    dice = random.Random('bytes')
    sentences = []
    for _ in range(CHANGES):
        place = dice.randrange(len(data))
        byte = bytes([dice.choice([data[place] ^ 1, *b'01e"-,{}[]'])])
        changed = data[:place] + byte + data[place + 1 :]
        (tmp_path / 'audit.json').write_bytes(changed)
        try:
            read_audit(tmp_path)
        except UserError as error:
            sentences.append(str(error))
    assert len(sentences) > CHANGES / 4
    assert all(str(tmp_path) in sentence for sentence in sentences)


@pytest.mark.parametrize('length', [0, 1, 100, 900])
def test_a_cut_audit_is_a_sentence(tmp_path, length):
    (tmp_path / 'audit.json').write_bytes(json.dumps(EXAMPLE).encode()[:length])
    with pytest.raises(UserError, match='is not valid JSON'):
        read_audit(tmp_path)
