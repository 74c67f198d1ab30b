"""A recipe on a labeled set made of several, through every tool."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from tests.helpers.host_sets import (
    pipeline,
    recipe_of,
    write_set,
    write_teacher,
    write_unlabeled,
)

COCO = dict(from_file='configs/_base_/datasets/coco.py')
AIC = [(0, 6), (1, 8), (2, 10), (3, 5), (4, 7), (5, 9), (6, 12), (7, 14), (8, 16)]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """COCO, AIC and MPII, the last one twice; validated on two of them."""
    monkeypatch.chdir(tmp_path)
    step = dict(type='KeypointConverter', num_keypoints=17)
    aic, mpii = [dict(step, mapping=AIC)], [dict(step, mapping=[(10, 10), (11, 8)])]
    coco = dict(write_set('CocoDataset', tmp_path / 'coco', (2, 0, 1)), pipeline=[])
    parts = [
        coco,
        dict(write_set('AicDataset', tmp_path / 'aic', (1, 3)), pipeline=aic),
        dict(
            type='RepeatDataset',
            times=2,
            dataset=dict(write_set('MpiiDataset', tmp_path / 'mpii', (1, 1))),
        ),
    ]
    parts[2]['dataset']['pipeline'] = mpii
    tests = [
        dict(write_set('CocoDataset', tmp_path / 'val'), pipeline=[], test_mode=True),
        dict(write_set('AicDataset', tmp_path / 'more'), pipeline=aic, test_mode=True),
    ]
    write_unlabeled(tmp_path / 'unlabeled', 5)
    # One image of the unlabeled set is MPII's, another one is validated on.
    shutil.copy(tmp_path / 'mpii/images/2.png', tmp_path / 'unlabeled/3.png')
    whole = dict(type='CombinedDataset', metainfo=COCO)
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            whole, datasets=tests, pipeline=pipeline(training=False), test_mode=True
        ),
    )
    metrics = dict(
        type='MultiDatasetEvaluator',
        metrics=[
            dict(type='PCKAccuracy', thr=0.1, prefix='coco'),
            dict(type='EPE', prefix='aic'),
        ],
        datasets=[dict(type='CocoDataset'), dict(type='AicDataset')],
    )
    config = recipe_of(
        dict(whole, datasets=parts, pipeline=pipeline(training=True)),
        tmp_path,
        COCO,
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=metrics,
        test_dataloader=loader,
        test_evaluator=metrics,
    )
    config.train_cfg.val_interval = 2
    write_teacher(config)
    config.dump(tmp_path / 'recipe.py')
    return 'recipe.py'


def test_a_set_of_several_goes_through_every_tool(recipe, tool, tmp_path, capsys):
    assert tool('plan', recipe) == 0
    said = ' '.join(capsys.readouterr())
    # 3 + 4 + 2 * 2 instances on 3 + 2 + 2 * 2 images.
    assert '11 instances on 9 images of 3 data sets' in said

    assert tool('train', recipe) == 0
    said = ' '.join(capsys.readouterr())
    assert 'the labeled set is made of 3 data sets' in said
    assert '1 unlabeled images are in the labeled set' in said
    assert 'the student sees 11 labeled instances' in said
    assert 'coco/PCK' in said
    assert 'aic/EPE' in said
    selection = json.loads(Path('labels/selection.json').read_text())
    assert selection['labeled']['instances'] == 11

    assert tool('select_labels', recipe, '--export-coco', 'out.json') == 0
    category = json.loads(Path('out.json').read_text())['categories'][0]
    assert category['keypoints'][5:7] == ['left_shoulder', 'right_shoulder']
    assert len(category['skeleton']) == 19
    assert tool('report', 'labels', '--config', recipe) == 0
    assert tool('draw_labels', recipe, '--out', 'x.png') == 0
    assert tool('test', recipe, 'work/iter_2.pth', '--tta') == 0

    capsys.readouterr()
    assert tool('audit_labels', recipe) == 2
    assert 'is made of 2 data sets' in capsys.readouterr().err


def test_the_host_trains_what_is_written(recipe, tool):
    assert tool('label', recipe) == 0
    assert tool('train', recipe, '--write-config', 'stage2.py') == 0

    written = Config.fromfile('stage2.py')
    written.work_dir = 'host'
    Runner.from_cfg(written).train()

    assert Path('host/iter_2.pth').is_file()


@pytest.mark.parametrize('missing', ['aic/annotations.json', 'mpii/images', 'more'])
def test_what_a_member_lacks_is_reported(recipe, tool, tmp_path, capsys, missing):
    path = tmp_path / missing
    path.unlink() if path.is_file() else shutil.rmtree(path)

    assert tool('plan', recipe) == 1

    assert missing in capsys.readouterr().out


def test_folds_of_a_set_of_several_are_refused(recipe, tool, capsys):
    Path('teacher.py').write_text(Path(recipe).read_text())
    assert tool('label', recipe) == 0

    options = ('--folds', '2', '--teacher-config', 'teacher.py')
    assert tool('audit_labels', recipe, *options) == 2

    assert 'is made of 3 (CocoDataset annotations.json' in capsys.readouterr().err
