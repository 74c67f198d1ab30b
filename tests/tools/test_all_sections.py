"""Every section of `distill` at once: what each part does must leave the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.audits import report_label_worth
from mmdistill.audits.label_worth import WORTH_FILE
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.engine.checkpoint import load_local
from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.stages.rounds import train_rounds
from tests.helpers.fresh_runs import forget_instances
from tests.helpers.recipes import STUDENT
from tests.helpers.rounds import WORK_DIR, RealTools, rounds_recipe
from tests.helpers.workshop import DISTILL, QUICK, call_mmpose, call_tool

ALL = (
    *('distill.weights.criterion=both', 'distill.weights.sigma=1.5'),
    *('distill.noise.occlusion.prob=1.0', 'distill.noise.feature_dropout=0.3'),
    *('distill.finish.length=0.5', 'distill.ema.momentum=0.2'),
    *('distill.schedule=None', 'distill.worth_images=0'),
)
SHORT = (
    *(*QUICK, *DISTILL, *ALL, 'train_cfg.max_iters=2', 'train_cfg.val_interval=9'),
    *('default_hooks.checkpoint.interval=1', 'randomness.seed=3'),
)


def train(folder: str, *arguments: str) -> None:
    """Train two iterations and one of the finish."""
    forget_instances()
    command = [STUDENT, '--work-dir', folder, '--no-validate', *arguments]
    assert call_tool('train', *command, '--cfg-options', *SHORT) == 0


def check_same(folder: str, other: str) -> None:
    """Compare the weights of two students, and their averages."""
    one, two = (load_local(f'{each}/iter_3.pth', 'cpu') for each in (folder, other))
    for part in ('state_dict', 'ema_state_dict'):
        assert one[part].keys() == two[part].keys()
        for name, value in one[part].items():
            assert torch.equal(value, two[part][name]), (part, name)


def test_a_student_with_all_sections_trains_and_resumes(workshop, logged, monkeypatch):
    shapes = set()
    visible = PseudoLabelDataset._visible

    def noted(self, idx):
        value = visible(self, idx)
        shapes.add(value.shape)
        return value

    monkeypatch.setattr(PseudoLabelDataset, '_visible', noted)
    train('whole')

    assert shapes == {(1, 17, 2)}
    text = '\n'.join(logged)
    for words in (
        'finish: 2 + 1 = 3 iterations, the last 1 on labeled samples alone',
        'noise of pseudo-labeled samples in training: ',
        'occlusion of joints',
        'weigh by both',
        'the finish begins at iteration 2 of 3',
        'weights are averaged with momentum 0.2',
    ):
        assert words in text
    train('again', '--resume', 'whole/iter_1.pth')
    check_same('whole', 'again')
    # MMPose's own tool trains the same.
    train('host', '--write-config', 'host.py')
    call_mmpose('train.py', 'host.py', '--work-dir', 'host')
    check_same('whole', 'host')


@pytest.mark.slow
def test_rounds_of_such_students_are_taught_by_the_finished_averages(workshop):
    """As an arm of the comparison runs them: by options, without validation."""
    tools = RealTools()
    audit = dict(data_root='data/toy/', ann_file='annotations/val.json')
    audited = [f'distill.audit.{key}={value}' for key, value in audit.items()]
    recipe = rounds_recipe(
        *(*ALL[:-1], *audited, 'distill.audit.data_prefix.img=images/val/'), number=2
    )

    train_rounds(recipe, tools, report_label_worth)

    first = Path(WORK_DIR, 'round_1/seed_0')
    plain = torch.load(first / MODEL_FILE, weights_only=True)
    saved = load_local(str(first / 'iter_3.pth'), 'cpu')
    assert plain['meta']['iter'] == 3
    for name, value in plain['state_dict'].items():
        assert torch.equal(value, saved['state_dict'][name])
    assert any(
        not torch.equal(value, saved['ema_state_dict'][f'module.{name}'])
        for name, value in saved['state_dict'].items()
    )
    (teacher,) = Config.fromfile(f'{WORK_DIR}/round_2/recipe.py').distill.teacher
    assert teacher.checkpoint == str(first / MODEL_FILE)
    assert Path(WORK_DIR, 'student.pth').is_file()
    # What the labels of each round can be worth was measured.
    assert Path(recipe.distill.store, WORTH_FILE).is_file()
    assert Path(WORK_DIR, 'round_2/labels', WORTH_FILE).is_file()
