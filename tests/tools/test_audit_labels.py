"""The audit, from the command line to its files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, call_tool

LABELS = Path('work_dirs/toy/labels')
STORES = Path('work_dirs/toy/labels-audit')
FOLD_TEACHER = f"""
_base_ = {TEACHER!r}
train_cfg = dict(max_iters=2)
default_hooks = dict(checkpoint=dict(interval=2))
train_dataloader = dict(batch_size=3, num_workers=0, persistent_workers=False)
"""


def run_audit(*arguments: str, options: tuple[str, ...] = ()) -> int:
    return call_tool(
        'audit_labels', STUDENT, *arguments, '--cfg-options', *DISTILL, *options
    )


def read_audit() -> dict:
    return json.loads((LABELS / 'audit.json').read_text())


def contents(root: Path) -> dict[str, bytes]:
    # Runs of one process that begin in the same second share MMEngine's log file.
    files = (
        path for path in root.rglob('*') if path.is_file() and path.suffix != '.log'
    )
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture(scope='module')
def audited_once(finished, tmp_path_factory) -> tuple[Path, str]:
    """A workshop whose labels were audited, and what was printed."""
    root = tmp_path_factory.mktemp('audited') / 'workshop'
    shutil.copytree(finished, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        printed: list[str] = []
        patch.setattr('builtins.print', lambda text: printed.append(text))
        assert run_audit() == 0
    return root, '\n'.join(printed)


@pytest.fixture
def audited(audited_once, tmp_path, monkeypatch) -> Path:
    """A copy of the audited workshop to work in."""
    root = tmp_path / 'workshop'
    shutil.copytree(audited_once[0], root)
    monkeypatch.chdir(root)
    return root


def test_the_val_set_is_audited_in_its_true_boxes(audited):
    content = read_audit()
    true = json.loads(Path('data/toy/annotations/val.json').read_text())
    assert content['audited']['ann_file'] == 'data/toy/annotations/val.json'
    assert content['audited']['boxes'].startswith('the true boxes')
    assert content['audited']['images'] == 2
    assert content['audited']['instances'] == len(true['annotations'])
    assert list(content['gains']) == ['single view', 'flip', 'fused']


def test_the_views_are_those_they_are_called(audited):
    views = {
        path.parent.name: LabelStore(path.parent).manifest['views']['views']
        for path in STORES.rglob('manifest.json')
    }
    assert views == dict(
        single_view=['1'],
        flip=['1', '1 flipped'],
        fused=['1', '1 flipped', '1.25', '1.25 flipped'],
    )


def test_the_verdict_is_printed_and_drawn(audited, audited_once):
    assert read_audit()['verdict'] in audited_once[1]
    assert audited_once[1].endswith(f'picture: {LABELS}/audit.png')
    assert (LABELS / 'audit.png').read_bytes().startswith(b'\x89PNG')


def test_an_audit_that_lost_its_last_labels_ends_in_the_same_files(audited):
    before = contents(LABELS), contents(STORES)
    next(STORES.rglob('fused/chunks/*.parquet')).unlink()
    shutil.rmtree(next(STORES.rglob('flip')))
    (LABELS / 'audit.json').unlink()

    assert run_audit() == 0

    assert (contents(LABELS), contents(STORES)) == before


def test_a_damaged_audit_is_made_again_as_the_report_says(audited, capsys):
    right = (LABELS / 'audit.json').read_bytes()
    (LABELS / 'audit.json').write_text('{"verdict": 3}')
    assert call_tool('report', str(LABELS), '--out', 'report.html', '--num', '0') == 2
    (tool,) = re.findall(r'make it again with tools/(\w+)', capsys.readouterr().err)

    assert call_tool(tool, STUDENT, '--cfg-options', *DISTILL) == 0

    assert (LABELS / 'audit.json').read_bytes() == right
    assert call_tool('report', str(LABELS), '--out', 'report.html', '--num', '0') == 0


def test_the_unlabeled_set_itself_gets_the_labels_that_it_has(audited):
    oracle = 'data/toy/annotations/unlabeled_oracle.json'
    boxes = 'work_dirs/toy/detections.bbox.json'

    images = 'data/toy/images/unlabeled'
    arguments = ['--ann-file', oracle, '--img', images, '--bbox-file', boxes]
    assert run_audit(*arguments, '--out', 'pile.png') == 0

    content = read_audit()
    selection = read_selection(LabelStore(LABELS))
    assert content['matched']['score_thrs'] == selection.score_thrs
    assert content['matched']['kept'] == selection.unlabeled.kept
    assert content['audited']['boxes'] == f'detections, {boxes}'
    assert Path('pile.png').is_file()


def test_where_fusion_is_the_flip_alone_it_is_labeled_once(audited):
    options = ('distill.views.scales=[1.0]', 'distill.store=work_dirs/one_scale')
    assert call_tool('label', STUDENT, '--cfg-options', *DISTILL, *options) == 0

    assert run_audit(options=options) == 0

    content = json.loads(Path('work_dirs/one_scale/audit.json').read_text())
    assert content['gains']['flip'] == content['gains']['fused']
    stores = Path('work_dirs/one_scale-audit').rglob('manifest.json')
    assert {path.parent.name for path in stores} == {'single_view', 'fused'}


def test_the_training_set_is_refused(audited, capsys):
    labeled = 'data/toy/annotations/labeled.json'
    assert run_audit('--ann-file', labeled) == 2
    assert 'is what the teacher was trained on' in capsys.readouterr().err


def test_labels_that_were_made_otherwise_are_refused(audited, capsys):
    shutil.rmtree(STORES)
    assert run_audit(options=('distill.labeling.nms_thr=0.7',)) == 2
    assert '- nms_thr: the store has 0.5, this run 0.7' in capsys.readouterr().err


def test_an_unlabeled_set_without_labels_is_refused(audited, capsys):
    assert run_audit(options=('distill.store=work_dirs/none',)) == 2
    assert 'holds no label store' in capsys.readouterr().err


def test_folds_need_to_know_how_a_teacher_is_trained(audited, capsys):
    assert run_audit('--folds', '2') == 2
    assert 'name its config with --teacher-config' in capsys.readouterr().err


def test_folds_of_another_set_are_refused(audited, capsys):
    assert run_audit('--folds', '2', '--ann-file', 'other.json') == 2
    assert '--img and --bbox-file; got other.json' in capsys.readouterr().err


def test_folds_audit_every_labeled_image_and_go_on(audited, monkeypatch):
    Path('fold_teacher.py').write_text(FOLD_TEACHER)
    arguments = ('--folds', '2', '--teacher-config', 'fold_teacher.py')
    assert run_audit(*arguments) == 0
    first = read_audit()
    before = contents(LABELS), contents(STORES)
    monkeypatch.setattr('mmdistill.stages.train', lambda config: pytest.fail('again'))

    assert run_audit(*arguments) == 0

    true = json.loads(Path('data/toy/annotations/labeled.json').read_text())
    assert first['audited']['folds'] == 2
    assert first['audited']['images'] == len(true['images']) == 6
    assert first['audited']['instances'] == len(true['annotations'])
    assert (contents(LABELS), contents(STORES)) == before
