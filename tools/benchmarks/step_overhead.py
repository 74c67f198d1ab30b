"""Benchmark a student's training step with mmdistill against one without it.

Runs of MMEngine's runner in one process, in turns, a step at a time:

* with: the toy student as its recipe has it, `PseudoLabelDataset`,
  `MixedRatioBatchSampler` and the hooks;
* without: the same labels as COCO json in MMPose's `CocoDataset`, the loader's own
  sampler, no hook of ours;
* again: the same as without, once more. How far it is from that is noise.

A step is all of it: the samples are made in the process (no workers, which would
hide their cost), then hooks, forward and backward pass, optimizer. The labels are
the true ones of drawn figures. Run it in the repository's folder, on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop, Runner

from mmdistill import stages
from mmdistill.cli.main import run
from mmdistill.config.recipe import Recipe
from mmdistill.functional.scoring import instance_scores
from mmdistill.stages.train_config import student_config
from mmdistill.store import Candidates, ImageRow, LabelStore
from mmdistill.toy import write_toy_data
from tools.benchmarks.drawn_labels import NAMES, Names

RECIPE = Path(__file__).parents[2] / 'configs/distill/toy/student.py'
NAMES_OF_RUNS = ('with', 'without', 'again')


# Tests both import this script and run it, in one process.
@LOOPS.register_module(force=True)
class SteppedLoop(IterBasedTrainLoop):
    """Training loop of MMEngine that is advanced step by step."""

    def run(self) -> torch.nn.Module:
        """Prepare the first step."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        return self.runner.model

    def step(self) -> tuple[float, float]:
        """Run a step; return its seconds, and those spent on its samples."""
        begin = time.perf_counter()
        self.runner.model.train()
        batch = next(self.dataloader_iterator)
        data = time.perf_counter() - begin
        self.run_iter(batch)
        return time.perf_counter() - begin, data


def write_labels(folder: Path, images: int) -> None:
    """Draw figures, and write their true labels to a label store."""
    write_toy_data(folder / 'toy', labeled=40, unlabeled=images, val=1)
    truth = json.loads((folder / 'toy/annotations/unlabeled_oracle.json').read_text())
    rows = [image_row(image, truth['annotations']) for image in truth['images']]
    names = Names(0)
    names.paths = [row.path for row in rows]
    store = LabelStore(folder / 'store')
    about = dict(img_root=str(folder / 'toy/images/unlabeled'))
    store.claim(dict(about=about, chunk_size=256, keypoints=NAMES), names)
    for chunk, span in enumerate(store.chunk_spans()):
        store.write_chunk(chunk, rows[span.start : span.stop])


def image_row(image: dict, annotations: Sequence[dict]) -> ImageRow:
    """Make the row of an image with its true poses at high scores."""
    own = [a for a in annotations if a['image_id'] == image['id']]
    points = np.array([a['keypoints'] for a in own], np.float32).reshape(-1, 17, 3)
    boxes = np.array([a['bbox'] for a in own], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    box_scores = np.ones(len(own), np.float32)
    seen = (points[..., 2] > 0).astype(np.float32)
    candidates = Candidates(
        bboxes=boxes,
        bbox_scores=box_scores,
        keypoints=points[..., :2],
        keypoint_scores=seen,
        keypoint_agreement=seen,
        instance_scores=instance_scores(box_scores, seen),
        category_ids=np.ones(len(own), np.int32),
    )
    path, size = image['file_name'], (image['width'], image['height'])
    return ImageRow(path, *size, 'ok', '', candidates)


def toy_student(folder: Path, options: argparse.Namespace) -> Config:
    """Configure the toy student on the drawn figures, without workers."""
    config = Config.fromfile(RECIPE)
    config.merge_from_dict(
        {
            'distill.store': str(folder / 'store'),
            'distill.unlabeled.data_root': str(folder / 'toy'),
            'train_dataloader.dataset.data_root': str(folder / 'toy'),
            'train_dataloader.batch_size': options.batch_size,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_cfg.max_iters': options.warm_up + options.steps,
            'default_hooks.checkpoint.interval': -1,
            'default_hooks.checkpoint.save_last': False,
            'log_level': 'ERROR',
        }
    )
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    return student_config(Recipe.of(config))


def plain_config(config: Config, folder: Path) -> Config:
    """Configure the same training with MMPose alone."""
    path = folder / 'labels.json'
    stages.export_coco(Recipe.of(config), str(path))
    plain = Config(config.to_dict(), filename=config.filename)
    labeled, pseudo = plain.train_dataloader.dataset.datasets
    plain.train_dataloader.dataset.datasets = [
        labeled,
        dict(
            type='CocoDataset',
            ann_file=str(path),
            data_prefix=dict(img=str(folder / 'toy/images/unlabeled') + '/'),
            metainfo=pseudo.metainfo,
            pipeline=pseudo.pipeline,
        ),
    ]
    plain.train_dataloader.pop('batch_sampler')
    plain.pop('distill')
    plain.custom_hooks = [
        hook for hook in plain.custom_hooks if not hook.type.startswith('mmdistill.')
    ]
    return plain


def start(name: str, config: Config, folder: Path) -> SteppedLoop:
    """Build a training that is ready for its first step."""
    config.work_dir, config.experiment_name = str(folder / name), name
    config.train_cfg.type = 'SteppedLoop'
    runner = Runner.from_cfg(config)
    runner.train()
    assert isinstance(runner.train_loop, SteppedLoop)
    return runner.train_loop


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Compute median milliseconds of a step and of its samples, and their ratios."""
    write_labels(folder, options.images)
    config = toy_student(folder, options)
    stages.select(Recipe.of(config), dict(score_thr=0.0))
    plain = plain_config(config, folder)
    again = Config(plain.to_dict(), filename=plain.filename)
    configs = dict(zip(NAMES_OF_RUNS, (config, plain, again), strict=True))
    loops = {name: start(name, each, folder) for name, each in configs.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    for _ in range(options.warm_up + options.steps):
        for name, loop in loops.items():
            times[name].append(loop.step())
    figures: dict[str, float] = {}
    for name, seconds in times.items():
        step, data = zip(*seconds[options.warm_up :], strict=True)
        figures[f'{name}_ms'] = statistics.median(step) * 1000
        figures[f'{name}_data_ms'] = statistics.median(data) * 1000
    return dict(
        figures,
        ratio=figures['with_ms'] / figures['without_ms'],
        noise_ratio=figures['again_ms'] / figures['without_ms'],
        data_ratio=figures['with_data_ms'] / figures['without_data_ms'],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add = parser.add_argument
    add('--steps', type=int, default=300, help='timed steps of each')
    add('--warm-up', type=int, default=20, help='steps before them')
    add('--batch-size', type=int, default=16)
    add('--images', type=int, default=400, help='pseudo-labeled images')
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    for name in NAMES_OF_RUNS:
        sys.stdout.write(
            f'{name:8} {figures[f"{name}_ms"]:8.2f} ms a step, '
            f'{figures[f"{name}_data_ms"]:7.2f} of it for the samples\n'
        )
    sys.stdout.write(json.dumps(figures) + '\n')


if __name__ == '__main__':
    sys.exit(run(main))
