"""A training of two real processes: the mix on each, and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.selection.counts import build_labeled, count_labeled
from mmdistill.selection.threshold_matching import select
from mmdistill.stages.train_config import resumable_config
from tests.helpers.launches import launch_forked
from tests.helpers.students import student_config, write_labels

BATCH, LABELED, ITERATIONS, STOP = 5, 3, 8, 5


def train(config, folder):
    """Train with two ranks; what each of them saw and ended with."""
    config.work_dir = str(folder)
    config.launcher = 'pytorch'
    folder.mkdir()
    config.dump(folder / 'config.py')
    script = Path(__file__).parents[2] / 'helpers/launched_training.py'
    launch_forked(script, str(folder / 'config.py'))
    return [torch.load(folder / f'rank{rank}.pth') for rank in range(2)]


def scalars(folder):
    """The last value of each scalar that the local back end wrote."""
    (path,) = folder.glob('*/vis_data/scalars.json')
    lines = path.read_text().splitlines()
    return {key: value for line in lines for key, value in json.loads(line).items()}


@pytest.fixture(scope='module')
def config(tmp_path_factory, toy_root):
    """Make the config of a run of 8 iterations."""

    def make(store, **settings):
        init_default_scope('mmpose')
        folder = tmp_path_factory.mktemp('unused')
        schedule = dict(by_epoch=False, max_iters=ITERATIONS)
        backends = [dict(type='LocalVisBackend')]
        made = student_config(
            toy_root,
            store,
            folder,
            train_cfg=schedule,
            custom_hooks=[dict(type='mmdistill.LabelMixHook')],
            visualizer=dict(type='PoseLocalVisualizer', vis_backends=backends),
            **settings,
        )
        labeled = made.train_dataloader.dataset.datasets[0]
        counts = count_labeled(build_labeled(labeled))
        select(store, counts, SelectionOptions()).write(store)
        return resumable_config(made)

    return make


def test_each_rank_has_its_share_and_a_resumed_run_is_the_same(
    config, tmp_path, request
):
    store = write_labels(tmp_path / 'pseudo', request.getfixturevalue)

    through = train(config(store), tmp_path / 'through')
    checkpoint = str(tmp_path / f'through/iter_{STOP}.pth')
    resumed = train(
        config(store, resume=True, load_from=checkpoint), tmp_path / 'resumed'
    )

    for (samples, _), (continued, _) in zip(through, resumed, strict=True):
        pseudo = [str(store.root.parent) in path for path, _ in samples]
        batches = [pseudo[i : i + BATCH] for i in range(0, len(pseudo), BATCH)]
        assert [len(b) - sum(b) for b in batches] == [LABELED] * ITERATIONS
        assert continued == samples[STOP * BATCH :]
    assert through[0][0] != through[1][0]
    told = scalars(tmp_path / 'through')
    assert told['mix/seen_labeled'] == 2 * ITERATIONS * LABELED
    assert told['mix/seen_pseudo'] == 2 * ITERATIONS * (BATCH - LABELED)
    weights = [weights for _, weights in (*through, *resumed)]
    learnt = [{k: w[k] for k in w if 'running' not in k} for w in weights]
    for other in learnt[1:]:
        assert all(torch.equal(learnt[0][key], other[key]) for key in learnt[0])
