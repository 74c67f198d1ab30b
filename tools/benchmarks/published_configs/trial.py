"""Trial of one published config with the tools, as the README describes.

A recipe of ten lines, a teacher's checkpoint of random weights, generated data; then
plan, label, select and two training steps, each by the tool that a user calls.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import math
import os
import resource
import shutil
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.config.config import ConfigParsingError
from mmengine.registry import init_default_scope
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmpose.models.heads.hybrid_heads import DEKRHead, YOLOXPoseHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from mmdistill.cli.main import run
from mmdistill.config.schema import is_type
from mmdistill.engine.initial_weights import initial_weights
from mmdistill.models.finders.build import finds_instances
from tools.benchmarks.published_configs.data import (
    leaves,
    smooth_noise,
    write_data,
)

REPOSITORY = Path(__file__).resolve().parents[3]
STAGES = ('plan', 'label', 'select_labels', 'train')
BATCH = 2
SEEN_SIDE = 640
"""Pixels along each axis of the images that batch norms are given."""
MANY_MEMBERS = 8
"""Number of members of a mix from which two iterations are less than an epoch."""

RECIPE = """_base_ = ['mmpose::{name}', '{base}']
work_dir = 'work'
distill = dict(
    teacher=dict(checkpoint='teacher.pth'),
    unlabeled=dict(
        data_root='',
        data_prefix=dict(img='unlabeled/'),{boxes}
    ),
    views=dict(scales=(1.0,), flip=True),
    mixing=dict(labeled_share=0.5),
    store='labels',
)
"""
BOXES = """
        bbox_file='unlabeled.bbox.json',"""
TWO_ITERATIONS = """train_cfg = dict(_delete_=True, by_epoch=False, max_iters=2)
param_scheduler = []
"""


def published_root() -> Path:
    """Return the folder of the configs in MMPose's wheel."""
    spec = importlib.util.find_spec('mmpose')
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / '.mim' / 'configs'


def try_config(name: str, folder: Path) -> dict[str, Any]:
    """Run the tools on one config.

    Args:
        name: Its path below MMPose's configs.
        folder: An empty folder to work in, which becomes the current one.

    Returns:
        The config with what its model and its data are, what each stage came to, and
        what it took: seconds, and MiB of memory at the peak.
    """
    os.chdir(folder)
    start = time.monotonic()
    result: dict[str, Any] = dict(config=name)
    recipe, options = write_recipe(name), []
    # What MMEngine can't read here has no data either, but is refused with a sentence.
    with contextlib.suppress(ConfigParsingError):
        config = read_published(name)
        result.update(describe(config))
        recipe = write_recipe(name, config)
        prepare(config)
        options = short_training(config)
    result['stages'] = {stage: call_stage(stage, recipe, options) for stage in STAGES}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return dict(result, seconds=round(time.monotonic() - start, 1), memory=peak)


def read_published(name: str) -> Config:
    """Read a config of MMPose by its path."""
    init_default_scope('mmpose')
    return Config.fromfile(published_root() / name)


def describe(config: Config) -> dict[str, Any]:
    """Describe a config's model and its labeled data."""
    model = config.model
    head = model.get('head') or {}
    head = head.get('pose_cfg', head)
    decoder = head.get('decoder') or {}
    kinds = [str(leaf['type']) for leaf in leaves(config.train_dataloader.dataset)]
    dataset = str(config.train_dataloader.dataset.type)
    return dict(
        estimator=model.type,
        backbone=(model.get('backbone') or {}).get('type'),
        head=head.get('type'),
        codec=decoder.get('type'),
        dataset=dataset if len(kinds) == 1 else f'{dataset} of {len(kinds)}',
    )


def write_recipe(name: str, config: Config | None = None) -> str:
    """Write the recipe of a published config into the current folder.

    Args:
        name: Its path below MMPose's configs.
        config: The config, where it can be read; a model that finds instances itself
            gets no boxes.
    """
    base = REPOSITORY / 'configs' / '_base_' / 'distill.py'
    recipe = Path('recipe.py')
    boxes = '' if config is not None and finds_instances(config.model) else BOXES
    text = RECIPE.format(name=name, base=base, boxes=boxes)
    if config is not None and has_many_members(config):
        text += TWO_ITERATIONS
    recipe.write_text(text)
    return str(recipe)


def prepare(config: Config) -> None:
    """Write data and teacher of a published config into the current folder."""
    write_data(config, Path('unlabeled'))
    torch.manual_seed(0)
    try:
        weights = _random_weights(config.model)
    except Exception:
        # A model that can't be built here has to be refused, with whatever weights.
        weights = {}
    torch.save(dict(state_dict=weights), 'teacher.pth')


def _random_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """Random weights of a model that predicts instances, which lie in the image."""
    module = MODELS.build(copy.deepcopy(dict(model)))
    if isinstance(module.head, YOLOXPoseHead):
        _bound_boxes(module)
    if isinstance(module.head, DEKRHead):
        # Its threshold of heat decides what is an instance.
        torch.nn.init.ones_(module.head.heatmap_conv_layers[-1].bias)
    weights: dict[str, Any] = module.state_dict()
    return weights


@torch.no_grad()
def _bound_boxes(module: Any) -> None:
    """Make the boxes of a one-stage model about eight cells wide.

    They bound its poses. With random weights they are far larger than the image, which
    no pipeline takes, unless batch norms know the statistics of these weights.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.momentum = None  # the mean of all inputs
    rng = np.random.default_rng(0)
    pictures = [smooth_noise(rng, SEEN_SIDE) for _ in range(BATCH)]
    images = [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]
    batch = dict(inputs=images, data_samples=[PoseDataSample() for _ in images])
    inputs = module.data_preprocessor(batch)['inputs']
    module.train().head(module.extract_feat(inputs))
    for convolution in module.head.head_module.out_bbox:
        convolution.weight.mul_(0.01)
        convolution.bias[2:] = math.log(8)


def short_training(config: Config) -> list[str]:
    """Return command-line options: two steps, no workers, no download."""
    hooks = config.get('custom_hooks', [])
    switches = [i for i, h in enumerate(hooks) if is_type(h, 'PipelineSwitchHook')]
    options = [
        # Two images of each kind: two batches, or one in each of two epochs.
        f'train_dataloader.batch_size={2 * BATCH if switches else BATCH}',
        *(
            'train_dataloader.num_workers=0',
            'train_dataloader.persistent_workers=False',
        ),
        *('distill.labeling.batch_size=2', 'distill.labeling.num_workers=0'),
        # An untrained teacher scores low, and its keypoints lower.
        *('distill.labeling.score_floor=-1', 'distill.selection.keypoint_thr=-1'),
        'default_hooks.checkpoint.save_optimizer=False',
    ]
    if not has_many_members(config):
        options += [f'train_cfg.max_epochs={2 if switches else 1}']
        options += [f'custom_hooks.{index}.switch_epoch=1' for index in switches]
    return options + [weights.unset for weights in initial_weights(config)]


def has_many_members(config: Config) -> bool:
    """Whether a labeled set has too many members for a training of one epoch."""
    return len(list(leaves(config.train_dataloader.dataset))) > MANY_MEMBERS


def call_stage(stage: str, recipe: str, options: list[str]) -> str:
    """Call a tool as its command line would.

    Returns:
        'works', 'refused: ' and its sentence, or 'defect: ' and an error that no tool
        should end with.
    """
    arguments = [recipe, *(['--cfg-options', *options] if options else [])]
    if stage == 'train':
        arguments += ['--no-validate']
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = run(load_tool(stage).main, arguments)
    except BaseException as error:
        return _defect(error)
    finally:
        Path(f'{stage}.log').write_text(said.getvalue())
    lines = said.getvalue().splitlines()
    missing = [line for line in lines if line.startswith('missing')]
    refusals = [line for line in lines if line.startswith('error: ')]
    if refusals:
        return f'refused: {refusals[-1].removeprefix("error: ")}'
    if missing or code:
        return f'refused: {(missing or lines[-1:])[0]}'
    if stage == 'train' and not list(Path('work').glob('*_*.pth')):
        return 'defect: no checkpoint was written'
    return 'works'


def load_tool(name: str) -> ModuleType:
    """Import a tool by its path."""
    path = REPOSITORY / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(f'tool_{name}', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def remove(folder: Path) -> None:
    """Remove a trial's folder, ignoring files that are already gone."""
    if Path.cwd().is_relative_to(folder):
        os.chdir(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)


def _defect(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f for f in frames if 'mmdistill' in f.filename and 'site-' not in f.filename
    ]
    origin = ''
    if ours:
        origin = f' (at {Path(ours[-1].filename).name}:{ours[-1].lineno})'
    message = ' '.join(str(error).split())[:300]
    return f'defect: {type(error).__name__}: {message}{origin}'
