"""The labeled share that is told is that of the batches a runner trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.registry import init_default_scope
from mmpose.registry import TRANSFORMS

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.config.text import TextConfig
from mmdistill.engine.runner import stage_runner
from mmdistill.engine.sample_counter import SampleCounter, has_sample_tags
from mmdistill.selection.counts import build_labeled, count_labeled
from mmdistill.selection.threshold_matching import select
from mmdistill.stages.train_config import resumable_config
from tests.helpers.students import Diary, student_config, write_labels

HOOK = dict(type='mmdistill.LabelMixHook')


@TRANSFORMS.register_module()
class GiveUpHalf(BaseTransform):
    """Gives up every other sample, by chance."""

    def transform(self, results):
        return results if np.random.rand() < 0.5 else None  # noqa: NPY002


@pytest.fixture
def run(tmp_path, toy_root, request):
    """Train with the hook; returns the runner and what a diary saw of each kind."""

    def run(change=lambda config: None, vis_backends=('LocalVisBackend',)):
        init_default_scope('mmpose')
        store = write_labels(tmp_path, request.getfixturevalue)
        config = student_config(
            toy_root,
            store,
            tmp_path / 'run',
            custom_hooks=[HOOK],
            randomness=dict(seed=1),
            vis_backends=[dict(type=each) for each in vis_backends],
        )
        config.visualizer = dict(
            type='PoseLocalVisualizer', vis_backends=config.vis_backends, name='seen'
        )
        labeled = config.train_dataloader.dataset.datasets[0]
        counts = count_labeled(build_labeled(labeled))
        select(store, counts, SelectionOptions()).write(store)
        change(config)
        runner, diary = stage_runner(TextConfig.of(config)), Diary()
        runner.register_hook(diary)
        runner.train()
        pseudo = sum(str(tmp_path / 'images') in path for path, _ in diary.samples)
        return runner, (len(diary.samples) - pseudo, pseudo)

    return run


def give_up_half(config):
    """Let every source give up samples in the middle of its pipeline."""
    for source in config.train_dataloader.dataset.datasets:
        source.pipeline.insert(2, dict(type='GiveUpHalf'))


def combine(config):
    """Let the wrapper pack the samples, and give up half of them."""
    loader = config.train_dataloader
    steps = loader.dataset.datasets[0].pipeline
    metainfo = loader.dataset.datasets[0].metainfo
    for source in loader.dataset.datasets:
        source.pipeline = []
    loader.dataset = dict(
        type='CombinedDataset',
        metainfo=metainfo,
        datasets=loader.dataset.datasets,
        pipeline=[*steps[:2], dict(type='GiveUpHalf'), *steps[2:]],
    )


def seeded_combination(config):
    combine(config)
    mixed = resumable_config(config)
    config.train_dataloader, config.train_cfg = mixed.train_dataloader, mixed.train_cfg


def no_fixed_share(config):
    """Batches of the concatenated sets in random order."""
    loader = config.train_dataloader
    del loader.batch_sampler
    loader.batch_size, loader.drop_last = 4, True


def scalars(runner) -> dict[str, float]:
    """The last value of each scalar in the file of the local back end."""
    found: dict[str, float] = {}
    path = Path(runner.visualizer.get_backend('LocalVisBackend')._scalar_save_file)
    for line in path.read_text().splitlines():
        found |= json.loads(line)
    return found


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (lambda config: None, (18, 12)),
        (give_up_half, (18, 12)),
        (seeded_combination, (18, 12)),
        (no_fixed_share, None),
    ],
    ids=['mixed', 'given_up', 'combined', 'by_chance'],
)
def test_samples_are_counted_as_a_diary_counts_them(run, change, expected):
    runner, (labeled, pseudo) = run(change)
    assert expected in ((labeled, pseudo), None)
    found = scalars(runner)
    assert (found['mix/seen_labeled'], found['mix/seen_pseudo']) == (labeled, pseudo)
    share = pytest.approx(labeled / (labeled + pseudo))
    assert found['mix/seen_labeled_share'] == share
    # What the logger of the host wrote of the last iteration.
    assert found['labeled_share'] == share
    kept = len(runner.train_dataloader.dataset.datasets[1])
    assert found['count_matching/kept_instances'] == kept


def test_the_share_and_the_matching_are_in_the_log(run):
    runner, _ = run()
    (log,) = Path(runner.log_dir).glob('*.log')
    text = log.read_text()
    assert '18 labeled and 12 pseudo-labeled samples: 0.600 of them labeled' in text
    assert text.count('labeled_share: 0.6000') == 6


def test_where_kinds_cannot_be_told_it_says_so_and_counts_nothing(run):
    runner, _ = run(combine)
    (log,) = Path(runner.log_dir).glob('*.log')
    assert 'samples of a CombinedDataset do not say which' in log.read_text()
    assert 'mix/seen_labeled' not in scalars(runner)


def test_tensorboard_gets_the_same_figures(run):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runner, _ = run(vis_backends=('LocalVisBackend', 'TensorboardVisBackend'))

    runner.visualizer.close()
    events = EventAccumulator(str(Path(runner.log_dir, 'vis_data'))).Reload()
    local = scalars(runner)
    names = [name for name in local if name.startswith(('mix/', 'count_matching/'))]
    assert len(names) >= 14
    for name in [*names, 'labeled_share']:
        assert events.Scalars(name)[-1].value == pytest.approx(local[name]), name


def test_before_the_first_batch_the_share_is_0():
    assert SampleCounter().share == 0
    assert SampleCounter(3, 2).of_all_ranks() == SampleCounter(3, 2)


def test_a_training_without_a_wrapper_that_packs_tells_its_kinds():
    assert has_sample_tags([])
