"""A student that learns from a labeled set made of several, beside pseudo-labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmdistill.config.recipe import Recipe
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError
from mmdistill.selection.counts import build_labeled, count_labeled
from mmdistill.selection.threshold_matching import select
from mmdistill.stages.label_config import labeled_config
from mmdistill.stages.train_config import resumable_config, student_config
from tests.helpers.host_sets import recipe_of, write_set
from tests.helpers.launches import launch_forked
from tests.helpers.students import CODEC, pipeline, train, write_labels

COCO = dict(from_file='configs/_base_/datasets/coco.py')
AIC = [(0, 6), (1, 8), (2, 10), (3, 5), (4, 7), (5, 9), (6, 12), (7, 14), (8, 16)]
BATCH, LABELED, LENGTH, STOP = 5, 3, 8, 5


@pytest.fixture(scope='module')
def cache():
    """Labels and sets that all tests read."""
    return {}


@pytest.fixture
def recipe(tmp_path, tmp_path_factory, cache, request):
    """Make a recipe whose labeled set is resampled and repeated."""
    if not cache:
        root = tmp_path_factory.mktemp('several')
        cache['store'] = write_labels(root / 'pseudo', request.getfixturevalue)
        coco = write_set('CocoDataset', root / 'coco', (2, 0, 1))
        aic = write_set('AicDataset', root / 'aic', (1, 3, 0, 0))
        mpii = write_set('MpiiDataset', root / 'mpii', (2,))
        step = dict(type='KeypointConverter', num_keypoints=17)
        aic['pipeline'] = [dict(step, mapping=AIC)]
        mpii['pipeline'] = [dict(step, mapping=[(10, 10), (11, 8)])]
        repeated = dict(type='RepeatDataset', times=2, dataset=mpii)
        cache['parts'] = [dict(coco, pipeline=[]), aic, repeated]

    def make(**settings):
        whole = dict(
            type='CombinedDataset',
            metainfo=COCO,
            datasets=cache['parts'],
            sample_ratio_factor=[2, 0.5, 1],
            pipeline=pipeline(CODEC),
        )
        config = recipe_of(whole, tmp_path, COCO, **settings)
        config.default_hooks.checkpoint.interval = 1
        config.train_cfg.max_iters = LENGTH
        config.distill.store = str(cache['store'].root)
        with DefaultScope.overwrite_default_scope('mmpose'):
            labeled = count_labeled(build_labeled(labeled_config(Recipe.of(config))))
            select(cache['store'], labeled, SelectionOptions()).write(cache['store'])
            made = resumable_config(student_config(Recipe.of(config)))
        # Metadata that say which sample it was.
        for source in made.train_dataloader.dataset.dataset.datasets:
            source.pipeline = pipeline(CODEC)
        return made

    return make


def test_a_resumed_run_is_the_run_that_was_not_stopped(recipe, tmp_path):
    made = recipe(work_dir=str(tmp_path / 'through'))
    seen, expected = train(made)

    again = recipe(
        work_dir=str(tmp_path / 'resumed'),
        resume=True,
        load_from=str(tmp_path / f'through/iter_{STOP}.pth'),
    )
    again.train_dataloader.num_workers = 2
    continued, weights = train(again)

    assert continued.samples == seen.samples[STOP * BATCH :]
    assert all(map(torch.equal, continued.pixels, seen.pixels[STOP * BATCH :]))
    assert all(torch.equal(value, weights[key]) for key, value in expected.items())


def test_every_batch_has_its_share_and_members_come_as_often_as_they_are_drawn(
    recipe, cache
):
    made = recipe()
    made.train_cfg.max_iters = 40
    made.default_hooks.checkpoint.interval = 100

    seen, _ = train(made)

    sets = [Path(path).parents[1].name for path, _ in seen.samples]
    labeled = [name in ('coco', 'aic', 'mpii') for name in sets]
    batches = [sum(labeled[i : i + BATCH]) for i in range(0, len(labeled), BATCH)]
    assert batches == [LABELED] * 40
    # Of 12 draws in a pass 6, 2 and 4 are of the three members: 120 are 10 passes.
    assert Counter(sets) == Counter(coco=60, aic=20, mpii=40) + Counter(
        {cache['store'].root.parent.name: 80}
    )


def test_a_selection_of_another_mix_is_refused(recipe):
    made = recipe()
    combined = made.train_dataloader.dataset.dataset.datasets[0]
    combined.sample_ratio_factor = [1, 1, 1]

    runner = Runner.from_cfg(made)

    with pytest.raises(UserError, match='was matched to a labeled set of 12 inst'):
        runner.train()


def test_both_ranks_see_the_whole_in_their_share(recipe, tmp_path):
    made = recipe(work_dir=str(tmp_path), launcher='pytorch')
    made.dump(tmp_path / 'config.py')

    script = Path(__file__).parents[1] / 'helpers/launched_training.py'
    launch_forked(script, str(tmp_path / 'config.py'))

    ranks = [torch.load(tmp_path / f'rank{rank}.pth') for rank in range(2)]
    for samples, _ in ranks:
        labeled = ['pseudo' not in path for path, _ in samples]
        batches = [sum(labeled[i : i + BATCH]) for i in range(0, len(labeled), BATCH)]
        assert batches == [LABELED] * LENGTH
    assert ranks[0][0] != ranks[1][0]
