"""Benchmark labeling throughput: stock MMPose, mmdistill, bare forward passes.

Side by side in one process and turn by turn, on images with annotated persons:

* stock: MMPose's `CocoDataset`, one item per person, mmcv's `TestTimeAug` over the
  scales, MMPose's model as its config has it, a forward pass per view;
* ours: `UnlabeledDataset`, one item per image, and `HeatmapFusionTTA`, once with
  its defaults (safe) and once with `torch.compile` and the narrowest precision
  that the device computes in (fast);
* bare: the network of ours alone, the same number of crops in the same batches.

Images are decoded on both sides. Where there is a choice the stock way gets the
faster one: the `dataset` key, which `TestTimeAug` would deep-copy for every view,
is popped; mirrored views are made of the crops and not of the images; heatmaps are
undone and averaged with our own functions, and decoded once and not once a view.

Both fuse heatmaps of the same views, so their keypoints can be compared. The codec
is exchanged for MMPose's UDP one, of the same size, for which a mirrored heatmap is
the exact inverse of a mirrored input.

No trained weights are needed: speed does not depend on them, but keypoints do, and
the heatmaps of random weights have no peaks. So batch norms get the statistics of
the crops, and the last convolution is fitted by ridge regression from its inputs to
the heatmaps of the annotated keypoints: deterministic, and a matter of seconds. Such
heatmaps are still flat, and where two cells are almost equally high the smallest
difference moves the keypoint from one to the other: the mean difference is over all
keypoints, the median stands beside it. `--checkpoints` takes trained weights of these
models, `--recipe` a trained model of a recipe of one's own.

Needs a checkout's images: by default those of data/coco-mini.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmdistill.cli.environment import check_environment
from tools.benchmarks.labeling.methods import Data, Ours, Poses, Stock
from tools.benchmarks.labeling.models import DEFAULT, MODELS, build_model, recipe_model
from tools.benchmarks.labeling.profile import show_profile


def measure(
    ways: dict[str, Callable[[], Any]], options: argparse.Namespace
) -> dict[str, float]:
    """Measure the median seconds of each method, taken in turns."""
    clock = time.process_time if options.clock == 'cpu' else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            start = clock()
            way()
            synchronize(options.device)
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def synchronize(device: str) -> None:
    """Wait for what was queued on a device."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def compare(
    name: str, model: Any, data: Data, options: argparse.Namespace
) -> dict[str, Any]:
    """Compare all methods with one model."""
    import copy

    model = model.to(options.device)
    stock = Stock(data, copy.deepcopy(model), options)
    modes: dict[str, dict[str, Any]] = {'safe': {}}
    if options.fast:
        precision = options.precision or narrowest_precision(options.device)
        modes['fast'] = dict(precision=precision, compile=True)
    ours = {
        mode: Ours(data, copy.deepcopy(model), options, **settings)
        for mode, settings in modes.items()
    }
    ways: dict[str, Callable[[], Any]] = {'stock': stock}
    truth = stock()
    result: dict[str, Any] = {}
    for mode, way in ours.items():
        way.watch_batches()
        prefix = '' if mode == 'safe' else f'{mode}_'
        distances = differences(truth, way())
        result[f'{prefix}mean_px_diff'] = float(distances.mean())
        result[f'{prefix}median_px_diff'] = float(np.median(distances))
        ways |= {f'{mode} ours': way, f'{mode} bare': way.bare}
    if options.profile:
        show_profile(ours)
    seconds = measure(ways, options)
    crops = sum(shape[0] for shape in ours['safe'].seen)
    print_speed(name, seconds, crops)
    result['crops_per_second'] = {way: crops / taken for way, taken in seconds.items()}
    for mode in modes:
        prefix = '' if mode == 'safe' else f'{mode}_'
        mine = seconds[f'{mode} ours']
        result[f'{prefix}stock_over_ours'] = seconds['stock'] / mine
        result[f'{prefix}ours_over_bare'] = mine / seconds[f'{mode} bare']
    return {'crops': crops, **modes.get('fast', {}), **result}


def narrowest_precision(device: str) -> str:
    """Name the narrowest precision that a device computes in."""
    from mmdistill.models.network import best_precision

    return best_precision() if torch.device(device).type == 'cpu' else 'float16'


def differences(one: Poses, other: Poses) -> np.ndarray:
    """Compute distances of keypoints, pixels of the image, (N, K)."""
    assert one.keys() == other.keys()
    return np.stack([np.linalg.norm(one[key] - other[key], axis=-1) for key in one])


def print_speed(name: str, seconds: dict[str, float], crops: int) -> None:
    print(
        f'\n{name}, {crops} crops\n{"way":12}{"s":>9}{"ms a crop":>12}{"stock /":>10}'
    )
    for way, taken in seconds.items():
        share = seconds['stock'] / taken
        print(f'{way:12}{taken:9.2f}{taken / crops * 1e3:12.2f}{share:10.2f}')


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    summary, _, rest = (__doc__ or '').partition('\n')
    parser = argparse.ArgumentParser(
        prog='python -m tools.benchmarks.labeling',
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root = Path('data/coco-mini')
    annotations = root / 'annotations/person_keypoints_val2017.json'
    add = parser.add_argument
    add('--annotations', type=Path, default=annotations)
    add('--image-folder', type=Path, default=root / 'val2017')
    add('--images', type=int, default=16, help='number of images with persons')
    add('--models', nargs='+', choices=list(MODELS), default=list(DEFAULT))
    add('--checkpoints', nargs='+', default=[], help='trained weights, one a model')
    add(
        '--recipe',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='a trained model with a UDP codec instead, on its own kind of data',
    )
    add('--device', default='cpu', help='where both sides run')
    add('--scales', nargs='+', type=float, default=[0.75, 1.0, 1.25])
    add('--no-flip', dest='flip', action='store_false')
    add('--persons', type=int, default=32, help='persons in a batch of the stock way')
    add('--images-per-batch', type=int, default=16, help='images in a batch of ours')
    add('--crops', type=int, help='crops in a forward pass of ours')
    add('--workers', type=int, default=0, help='loader processes, on both sides')
    add('--threads', type=int, help="PyTorch's threads")
    add('--repeats', type=int, default=3)
    add('--precision', help='of the fast mode; by default what the device has')
    add('--no-fast', dest='fast', action='store_false', help='nothing is compiled')
    add('--clock', choices=('wall', 'cpu'), default='wall')
    add(
        '--profile',
        action='store_true',
        help='the parts of ours; each form of bare',
    )
    return parser.parse_args(argv)


def compared(
    options: argparse.Namespace, folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the comparison of each model; return results by name."""
    import mmdistill.engine.checkpoint  # noqa: F401  (registers the safe loaders)
    from mmdistill.cli.arguments import load_config

    files = options.annotations, options.image_folder, options.images, folder
    if options.recipe:
        path, checkpoint = options.recipe
        arguments = argparse.Namespace(config=path, cfg_options={}, launcher='none')
        arguments.local_rank, arguments.work_dir = 0, None
        config = load_config(arguments)
        data = Data(*files, metainfo=config.test_dataloader.dataset.get('metainfo'))
        yield path, compare(path, recipe_model(config, checkpoint), data, options)
        return
    data = Data(*files)
    for i, name in enumerate(options.models):
        checkpoint = options.checkpoints[i] if options.checkpoints else None
        yield name, compare(name, build_model(name, data, checkpoint), data, options)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    options = parse(argv)
    check_environment()
    from mmengine.registry import init_default_scope

    init_default_scope('mmpose')
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        results = dict(compared(options, Path(folder)))
    print(json.dumps({**next(iter(results.values())), **results}))
