"""Where an audit takes its thresholds from and lays its stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.audits.audited_set import AuditedSet
from mmdistill.audits.run import audit_folder, read_unlabeled_selection, sigmas_of
from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError


def config_of(labels: Path) -> Config:
    dataset = dict(type='CocoDataset', ann_file='train.json')
    return Config(
        dict(
            distill=dict(teacher={}, unlabeled={}, store=str(labels)),
            train_dataloader=dict(dataset=dataset),
        )
    )


def test_thresholds_are_those_of_the_selection(
    tmp_path, make_rows, make_store, make_selection
):
    store = make_store(tmp_path, make_rows((1, 2)))
    make_selection(0.25, 0.4).write(store)
    selection = read_unlabeled_selection(Recipe.of(config_of(tmp_path)))
    assert selection.selection == make_selection(0.25, 0.4)


def test_before_labeling_there_is_nothing_to_audit(tmp_path):
    with pytest.raises(UserError, match=r'no label store .*tools/label\.py'):
        read_unlabeled_selection(Recipe.of(config_of(tmp_path)))


def test_before_selecting_there_is_nothing_to_audit(tmp_path, make_rows, make_store):
    make_store(tmp_path, make_rows((1, 2)))
    with pytest.raises(UserError, match=r'the selection .* cannot be read'):
        read_unlabeled_selection(Recipe.of(config_of(tmp_path)))


def test_stores_lie_beside_that_of_the_config(tmp_path):
    (tmp_path / 'val.json').write_text('{}')
    audited = AuditedSet(tmp_path / 'val.json', tmp_path)
    folder = audit_folder(Recipe.of(config_of(tmp_path / 'labels')), audited)
    assert folder == tmp_path / 'labels-audit' / audited.name


def test_sigmas_are_those_of_the_labeled_set(tmp_path):
    sigmas = sigmas_of(Recipe.of(config_of(tmp_path)))
    assert sigmas[:5] == pytest.approx([0.026, 0.025, 0.025, 0.035, 0.035])
