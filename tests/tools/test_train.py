from dataclasses import replace
from pathlib import Path

import torch
from mmengine.config import Config
from mmpose.apis import init_model

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tests.helpers.recipes import STUDENT, TEACHER
from tests.helpers.workshop import DISTILL, QUICK, call_mmpose

LABELS = 'work_dirs/toy/labels'
STATED = f"""
_base_ = '{STUDENT}'
custom_hooks = [dict(type='mmdistill.LabelMixHook')]
pseudo = dict(
    type='mmdistill.PseudoLabelDataset',
    store='{LABELS}',
    metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
    pipeline=_base_.train_pipeline,
)
train_dataloader = dict(
    batch_sampler=dict(type='mmdistill.MixedRatioBatchSampler'),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[_base_.train_dataloader.dataset, pseudo],
        ignore_keys='CLASSES',
    ),
)
"""


def student_options(*more: str) -> list[str]:
    return ['--no-validate', '--cfg-options', *QUICK, *DISTILL, *more]


def weights(path: str) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def test_stage_1_runs_when_the_store_is_missing(workshop, tool):
    before = Path(LABELS, 'selection.json').read_bytes()
    for path in sorted(Path(LABELS).rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    assert tool('train', STUDENT, '--work-dir', 'student', *student_options()) == 0

    assert Path(LABELS, 'selection.json').read_bytes() == before
    assert Path('student/iter_4.pth').is_file()


def test_the_schedule_grows_with_the_selection(workshop, tool, capfd):
    selection = read_selection(LabelStore(LABELS))
    labeled, kept = selection.labeled.instances, selection.unlabeled.kept
    options = student_options('distill.schedule.max_factor=50')

    assert tool('train', STUDENT, '--work-dir', 'student', *options) == 0

    length = round(4 * (labeled + kept) / labeled)
    assert Path(f'student/iter_{length}.pth').is_file()
    assert f'{length} iterations instead of 4' in capfd.readouterr().out


def test_the_student_loads_in_stock_mmpose(workshop, tool):
    tool('train', STUDENT, '--work-dir', 'student', *student_options())
    config = Config.fromfile(TEACHER)

    # MMPose's own loader reads MMEngine's checkpoints with our list of safe objects.
    model = init_model(config, 'student/iter_4.pth', device='cpu')

    stored = weights('student/iter_4.pth')
    assert model.state_dict().keys() == stored.keys()
    assert all(torch.equal(v, stored[k]) for k, v in model.state_dict().items())


def test_a_resumed_run_continues_at_its_iteration(workshop, tool, capfd):
    short = student_options('train_cfg.max_iters=2')
    assert tool('train', STUDENT, '--work-dir', 'student', *short) == 0
    options = ['--resume', *student_options()]

    assert tool('train', STUDENT, '--work-dir', 'student', *options) == 0

    assert 'resumed epoch: 0, iter: 2' in capfd.readouterr().out
    assert Path('student/iter_4.pth').is_file()


def test_a_run_that_is_resumed_on_other_labels_says_so(workshop, tool, capfd):
    short = student_options('train_cfg.max_iters=2')
    tool('train', STUDENT, '--work-dir', 'student', *short)
    tool('select_labels', STUDENT, '--score-thr', '-0.5', '--cfg-options', *DISTILL)
    options = ['--resume', *student_options()]
    assert 'not that of a run' not in capfd.readouterr().out

    assert tool('train', STUDENT, '--work-dir', 'student', *options) == 0

    assert 'not that of a run that was never stopped' in capfd.readouterr().out


def test_a_selection_of_another_labeled_set_is_made_again(workshop, tool, capfd):
    store = LabelStore(LABELS)
    selection = read_selection(store)
    other = replace(selection.labeled, fingerprint='another')
    replace(selection, labeled=other).write(store)

    assert tool('train', STUDENT, '--work-dir', 'student', *student_options()) == 0

    told = 'labels are selected again: it was matched to another labeled set'
    assert told in capfd.readouterr().out
    assert read_selection(store) == selection


def test_a_threshold_set_by_hand_survives_training(workshop, tool):
    options = ['--score-thr', '-0.5', '--keypoint-thr', '-1']
    tool('select_labels', STUDENT, *options, '--cfg-options', *DISTILL)
    before = Path(LABELS, 'selection.json').read_bytes()

    assert tool('train', STUDENT, '--work-dir', 'student', *student_options()) == 0
    assert Path(LABELS, 'selection.json').read_bytes() == before


def train_with_mmpose(config):
    call_mmpose('train.py', config, '--work-dir', 'student', *student_options())


def test_a_stated_mix_trains_from_mmpose_own_tool(workshop):
    """As the README says that it can be stated by hand."""
    Path('stated.py').write_text(STATED)

    train_with_mmpose('stated.py')

    (log,) = Path('student').glob('*/*.log')
    assert 'the student sees' in log.read_text()
    assert Path('student/iter_4.pth').is_file()


def test_a_recipe_without_its_mix_is_written_for_mmpose_own_tool(workshop, tool):
    """MMPose alone would train it on the labeled set, and say nothing."""
    path = Path('short.py')
    path.write_text(
        f"_base_ = '{TEACHER}'\n"
        "distill = dict(teacher=dict(checkpoint='teacher.pth'), store="
        f"'{LABELS}', unlabeled=dict(data_root='data/toy/'), schedule=None)\n"
    )

    assert tool('train', 'short.py', '--write-config', 'stage2.py') == 0
    train_with_mmpose('stage2.py')

    dataset = Config.fromfile('student/stage2.py').train_dataloader.dataset
    assert dataset.type == 'mmdistill.SeededDataset'
    assert dataset.dataset.datasets[1].store == LABELS
    assert Path('student/iter_4.pth').is_file()
