"""The advice of sentences about the mix of a training: following it trains."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

from mmdistill.cli.arguments import add_selection_arguments, changed_options
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.config.text import TextConfig
from mmdistill.engine.hooks.label_mix_hook import LabelMixHook, check_pseudo
from mmdistill.engine.runner import stage_runner
from mmdistill.engine.sample_counter import has_sample_tags
from mmdistill.errors import UserError
from mmdistill.selection.counts import build_labeled, count_labeled
from mmdistill.selection.threshold_matching import select
from mmdistill.store import LabelStore
from tests.helpers.pseudo import Pseudo
from tests.helpers.students import student_config, write_labels
from tests.helpers.trainings import training

TOOLS = Path(__file__).parents[3] / 'tools'
COCO = dict(from_file='configs/_base_/datasets/coco.py')


def refused(function: Callable, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def select_by(sentence: str, store: LabelStore, labeled: dict, *words: str) -> None:
    """Select as the tool that a sentence names does, with the flag that it names."""
    (tool,) = re.findall(r'tools/(\w+\.py)', sentence)
    assert (TOOLS / tool).is_file()
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)
    flags = re.findall(r'--[a-z-]+', sentence)
    options = changed_options(parser.parse_args([*flags, *words]))
    counts = count_labeled(build_labeled(labeled))
    select(store, counts, SelectionOptions(**options)).write(store)


@pytest.fixture
def pseudo(store):
    """Build the pseudo-labels of the store."""

    def pseudo() -> Any:
        kind = 'mmdistill.PseudoLabelDataset'
        return DATASETS.build(dict(type=kind, store=str(store.root), metainfo=COCO))

    return pseudo


@pytest.mark.parametrize(('count', 'keypoints'), [(0, 0), (7, 0)])
def test_labels_that_train_are_selected(
    store, labeled, pseudo, make_selection, count, keypoints
):
    nothing = Pseudo(count, keypoints, make_selection(0.5), str(store.root))
    sentence = refused(check_pseudo, nothing)
    assert sentence.endswith(', which says what keeps some')

    select_by(sentence, store, labeled, *(['0'] if count else []))

    check_pseudo(pseudo())
    LabelMixHook().before_train(training(DATASETS.build(labeled), pseudo()))


def test_labels_are_selected_for_the_labeled_set_that_is_trained_on(
    store, labeled, pseudo
):
    select_by('tools/select_labels.py', store, labeled)
    other = {**labeled, 'indices': 1}
    run = training(DATASETS.build(other), pseudo())
    sentence = refused(LabelMixHook().before_train, run)
    assert sentence.endswith('select anew with tools/select_labels.py')

    select_by(sentence, store, other)

    LabelMixHook().before_train(training(DATASETS.build(other), pseudo()))


def test_the_labeled_source_is_where_the_labeled_set_is(store, labeled, pseudo):
    select_by('tools/select_labels.py', store, labeled)
    sources = [pseudo(), DATASETS.build(labeled)]
    run = training(*sources)
    batches = run.train_dataloader.batch_sampler
    batches.labeled_source = [0]
    sentence = refused(LabelMixHook().before_train, run)
    (name, got) = re.findall(
        r'^(\w+) must be the position of .*, got (\d+), ', sentence
    )[0]
    assert sources[int(got)] is sources[0]

    setattr(batches, name, [1])

    LabelMixHook().before_train(run)


def test_pseudo_labels_alone_train_without_the_hook(tmp_path, toy_root, request):
    init_default_scope('mmpose')
    store = write_labels(tmp_path, request.getfixturevalue)
    hooks = [dict(type='mmdistill.LabelMixHook')]
    config = student_config(toy_root, store, tmp_path / 'run', custom_hooks=hooks)
    del config.train_dataloader.dataset.datasets[0]
    del config.train_dataloader['batch_sampler']
    config.train_cfg.max_iters = 1

    def train(config: Config) -> int:
        runner = stage_runner(TextConfig.of(config))
        runner.train()
        return runner.iter

    sentence = refused(train, config)
    (name,) = re.findall(r'^(\w+) needs a labeled set beside', sentence)
    (key,) = re.findall(r'goes without this hook in (\w+)$', sentence)

    config[key] = [hook for hook in config[key] if not hook.type.endswith(name)]

    assert config[key] == []
    assert train(config) == 1


def test_a_combination_in_the_wrapper_that_is_named_says_its_kinds(labeled, logged):
    combination = dict(
        type='mmpose.CombinedDataset', metainfo=COCO, datasets=[labeled], pipeline=[]
    )
    hook = LabelMixHook()
    hook._count_from_here(DATASETS.build(combination))
    (line,) = (line for line in logged if 'will not be counted' in line)
    kind, key = re.findall(
        r"without dict\(type='([\w.]+)', (\w+)=\.\.\.\) around", line
    )[0]

    wrapped = DATASETS.build({'type': kind, key: combination})

    assert has_sample_tags(wrapped)
    logged.clear()
    hook._count_from_here(wrapped)
    assert logged == []
