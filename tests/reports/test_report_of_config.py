"""The report of a store whose images are frames."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mmengine.config import Config

from mmdistill.reports.gallery import draw_labels
from mmdistill.reports.report import ReportOptions, report
from tests.helpers.media import write_video  # noqa: F401  (a fixture)


@pytest.fixture
def store(tmp_path, make_rows, make_store, make_selection, write_video):  # noqa: F811
    """Kept and rejected candidates on five frames, none of them written out."""
    write_video(tmp_path / 'a.mp4', range(5))
    rows = [
        replace(row, path=f'a.mp4#{number:06d}')
        for number, row in enumerate(make_rows([2, 1, 3, 1, 2]))
    ]
    store = make_store(tmp_path / 'labels', rows, img_root=tmp_path)
    make_selection(0.5).write(store)
    return store


def test_frames_are_shown_kept_or_rejected(store, tmp_path):
    report(str(store.root), tmp_path / 'a.html', ReportOptions(num=3))
    page = (tmp_path / 'a.html').read_text()
    assert page.count('data:image/jpeg;base64,') > 9
    assert 'image not found' not in page

    (tmp_path / 'a.mp4').unlink()
    report(str(store.root), tmp_path / 'b.html', ReportOptions(num=3))
    assert 'image not found' in (tmp_path / 'b.html').read_text()


def test_frames_are_drawn(store, tmp_path):
    config = Config(
        dict(
            distill=dict(store=str(store.root)),
            test_dataloader=dict(dataset=dict(type='CocoDataset')),
        )
    )
    draw_labels(config, tmp_path / 'a.png', 2)
    assert (tmp_path / 'a.png').stat().st_size > 10_000
