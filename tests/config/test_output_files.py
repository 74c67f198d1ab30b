"""What a tool writes replaces no file that a run reads."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.config.output_files import check_output
from mmdistill.errors import ConfigError


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    """A config in a folder with the files that it names."""
    monkeypatch.chdir(tmp_path)
    names = ('recipe.py', 'data/labeled.json', 'boxes.json', 'val.json', 'other.json')
    for name in (*names, 'labels/manifest.json', 'labels/chunks/0.parquet'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    dataset = dict(data_root='data/', ann_file='labeled.json')
    settings = dict(
        train_dataloader=dict(dataset=dict(datasets=[dataset])),
        distill=dict(unlabeled=dict(bbox_file='boxes.json'), store='labels'),
        val_evaluator=[dict(ann_file=str(tmp_path / 'val.json'))],
    )
    return Config(settings, filename='recipe.py')


@pytest.mark.parametrize(
    ('path', 'owner'),
    [
        ('recipe.py', 'the config itself'),
        ('data/../recipe.py', 'the config itself'),
        ('data/labeled.json', 'train_dataloader.dataset.datasets.0.ann_file of'),
        ('boxes.json', 'distill.unlabeled.bbox_file of'),
        ('val.json', 'val_evaluator.0.ann_file of'),
        ('labels/manifest.json', 'a file of the label store'),
        ('labels/chunks/0.parquet', 'a file of the label store'),
    ],
)
def test_a_file_that_a_run_reads_is_not_replaced(config, path, owner):
    with pytest.raises(ConfigError, match=f'^--out {path} is {owner}.* another file$'):
        check_output('--out', path, config)


@pytest.mark.parametrize('path', ['', 'data', 'labels/chunks'])
def test_what_is_no_file_is_refused(config, path):
    with pytest.raises(ConfigError, match=r'^--out must name a file, got '):
        check_output('--out', path, config)


@pytest.mark.parametrize('path', ['new.json', 'other.json', 'labels/report.html'])
def test_other_files_are_written(config, path):
    check_output('--out', path, config)


def test_a_link_to_a_file_that_a_run_reads_is_that_file(config, tmp_path):
    (tmp_path / 'link.json').symlink_to('boxes.json')

    with pytest.raises(ConfigError, match=r'is distill\.unlabeled\.bbox_file'):
        check_output('--out', 'link.json', config)
