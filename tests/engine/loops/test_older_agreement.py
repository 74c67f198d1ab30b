"""Stores whose agreement is of whole cells: used when finished, and never mixed."""

from __future__ import annotations

import pytest

from mmdistill.errors import StoreError
from tests.helpers.labeling import Teacher


class SubCellTeacher(Teacher):
    """A teacher of today, whose agreement is from peaks between cells."""

    def provenance(self) -> dict[str, str]:
        return dict(super().provenance(), agreement='sub-cell')


def test_a_finished_older_store_is_used_and_stays_as_it_is(label, logged):
    _, store = label()
    before = {file: file.read_bytes() for file in store.root.rglob('*.parquet')}

    teacher, store = label(teacher=SubCellTeacher())

    assert teacher.batches == []
    assert {file: file.read_bytes() for file in before} == before
    assert 'agreement' not in store.manifest['views']
    said = 'was begun before manifests had views.agreement, which is not compared'
    assert any(said in line for line in logged)


def test_an_unfinished_older_store_is_not_mixed(label):
    _, store = label()
    next(iter(store.root.glob('chunks/*'))).unlink()

    with pytest.raises(StoreError, match='store has None, this run sub-cell'):
        label(teacher=SubCellTeacher())


def test_new_images_are_not_added_to_an_older_store(label, write_images, tmp_path):
    label()
    write_images(tmp_path / 'pile', 'new.png')

    with pytest.raises(StoreError, match='store has None, this run sub-cell'):
        label(teacher=SubCellTeacher())


def test_an_older_run_does_not_continue_a_store_of_today(label):
    label(teacher=SubCellTeacher())

    with pytest.raises(StoreError, match='store has sub-cell, this run None'):
        label()
