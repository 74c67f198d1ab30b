"""Benchmark the label store against COCO json: time, memory and disk.

Both sides open the same labels, hand the first batch to training and then feed four
loader workers; the store also selects, which the json has behind it. A peak of
memory cannot be taken back, so every figure comes from a child forked by this one
process after everything is imported; memory is what the child adds to the imports
that both need. Disk compares the json with all that the store holds; time and memory
the smaller json without scores of keypoints. Labeling runs the real loop, data set
and store with a stub for the model, on links to one small image.

The last line is JSON. Figures of a loaded machine mean little.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import pseudo_collate
from mmpose.datasets import CocoDataset
from torch.utils.data import DataLoader, RandomSampler

from mmdistill.cli.main import run
from mmdistill.config.metainfo import keypoint_names
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.datasets import PseudoLabelDataset
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.selection import threshold_matching
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.export import ExportOptions, export_coco
from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tools.benchmarks.children import in_child, memory
from tools.benchmarks.drawn_labels import (
    HEIGHT,
    METAINFO,
    PARSED,
    WIDTH,
    StubTeacher,
    write_store,
)

SELECT = Path(__file__).parents[1] / 'select_labels.py'
WORKERS = 4
FED = 5000
"""Number of labels that go through the workers."""
MOST_LINKS = 30_000
"""Maximum number of links to one file; ext4 allows 65,000."""


def first_batch(dataset: Any) -> dict[str, float]:
    """Collate a batch; the transforms, equal on both sides, are left out."""
    loader = DataLoader(dataset, 64, shuffle=True, collate_fn=collate)
    assert len(next(iter(loader))['keypoints']) == min(64, len(dataset))
    return dict(labels=len(dataset))


def collate(samples: Sequence[dict]) -> dict:
    """Drop the reference to the data set, as MMPose's last transform does."""
    kept = [{k: v for k, v in s.items() if k != 'dataset'} for s in samples]
    return pseudo_collate(kept)


def start_from_store(root: Path) -> dict[str, float]:
    """Select, open, first batch."""
    select(root)
    return first_batch(open_store(root))


def open_store(root: Path) -> PseudoLabelDataset:
    return PseudoLabelDataset(str(root), dict(METAINFO))


def open_coco(path: Path) -> CocoDataset:
    return CocoDataset(str(path), metainfo=dict(METAINFO))


def select(root: Path) -> dict[str, float]:
    """Select as `tools/select_labels.py` does."""
    labeled = LabeledCounts(1000, 1000, 10**9, 'a set whose count keeps all')
    threshold_matching.select(LabelStore(root), labeled, SelectionOptions()).write(
        LabelStore(root)
    )
    return {}


def select_command(root: Path) -> float:
    """Measure `tools/select_labels.py` itself, with its imports, on a small set."""
    names = keypoint_names(PARSED)
    images = [dict(id=i, file_name=f'{i}.jpg', width=9, height=9) for i in range(200)]
    shared = dict(category_id=1, iscrowd=0, bbox=[1, 1, 5, 5], num_keypoints=len(names))
    points = dict(area=25, keypoints=[3.5, 3.5, 2] * len(names))
    labels = [dict(id=i + 1, image_id=i, **shared, **points) for i in range(200)]
    category = dict(id=1, name='person', keypoints=names, skeleton=[])
    ann_file, config = root.with_suffix('.labeled.json'), root.with_suffix('.py')
    content = dict(images=images, annotations=labels, categories=[category])
    ann_file.write_text(json.dumps(content))
    labeled = dict(type='CocoDataset', ann_file=str(ann_file), metainfo=METAINFO)
    section = dict(teacher={}, unlabeled={}, store=str(root))
    loader = dict(dataset=labeled)
    text = f"default_scope = 'mmpose'\ndistill = {section!r}\n"
    config.write_text(f'{text}train_dataloader = {loader!r}\n')
    start = time.perf_counter()
    command = [sys.executable, str(SELECT), str(config)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def feed_workers(build: Callable[[], Any]) -> dict[str, float]:
    """Measure the memory of loader workers after random labels went through them, MiB.

    Frozen, Python's collector does not write into the objects of the imports, which
    would count as the workers' own memory on either side.
    """
    dataset = build()
    gc.collect()
    gc.freeze()
    alone = memory()['pss']
    loader = DataLoader(
        dataset,
        64,
        sampler=RandomSampler(dataset, replacement=True, num_samples=FED),
        num_workers=WORKERS,
        collate_fn=collate,
        persistent_workers=True,
    )
    batches = iter(loader)
    for _ in batches:
        pass
    workers = [memory(process.pid) for process in batches._workers]
    together = memory()['pss'] + sum(worker['pss'] for worker in workers)
    own = sum(worker['own'] for worker in workers) / WORKERS
    return dict(worker_own=own, added_by_workers=together - alone)


def compare(folder: Path, candidates: int, with_coco: bool) -> dict[str, float]:
    """Measure one row of the table."""
    root, full, plain = (
        folder / f'{candidates}{end}' for end in ('', '.json', '-.json')
    )
    in_child(lambda: write_store(root, candidates) or {})
    row = {'candidates': float(candidates)}
    in_child(lambda: select(root))
    row['select_s'] = in_child(lambda: select(root))['seconds']
    row['select_command_s'] = select_command(root)
    tiny = folder / 'tiny'
    store = in_child(lambda: start_from_store(root), lambda: start_from_store(tiny))
    fed = in_child(lambda: feed_workers(lambda: open_store(root)))
    size = sum(path.stat().st_size for path in root.rglob('*') if path.is_file())
    row.update(
        store_s=store['seconds'],
        store_mib=store['memory'],
        store_worker_mib=fed['worker_own'],
        store_bytes=size / candidates,
    )
    if with_coco:
        for path, details in ((full, True), (plain, False)):
            in_child(lambda path=path, details=details: export(root, path, details))
        tiny_json = folder / 'tiny.json'
        coco = in_child(
            lambda: first_batch(open_coco(plain)),
            lambda: first_batch(open_coco(tiny_json)),
        )
        assert coco['labels'] == store['labels'] == candidates
        fed = in_child(lambda: feed_workers(lambda: open_coco(plain)))
        row.update(
            coco_s=coco['seconds'],
            coco_mib=coco['memory'],
            coco_worker_mib=fed['worker_own'],
            coco_bytes=full.stat().st_size / candidates,
            coco_plain_bytes=plain.stat().st_size / candidates,
        )
    return row


def export(root: Path, path: Path, details: bool) -> dict[str, float]:
    store = LabelStore(root)
    options = ExportOptions(details=details)
    export_coco(store, read_selection(store), path, 'person', options=options)
    return {}


def label_images(folder: Path, images: int) -> dict[str, float]:
    """Label links to one image with the real loop, data set and store."""
    img_root = folder / f'images{images}'
    img_root.mkdir()
    for number in range(images):
        first = img_root / f'{number - number % MOST_LINKS:08d}.jpg'
        if number % MOST_LINKS:
            os.link(first, img_root / f'{number:08d}.jpg')
        else:
            cv2.imwrite(str(first), np.full((HEIGHT, WIDTH, 3), 99, np.uint8))
    dataset = dict(
        type='mmdistill.UnlabeledDataset',
        metainfo=dict(METAINFO),
        data_root=str(img_root),
    )
    loader = dict(batch_size=16, num_workers=0, dataset=dataset)
    runner = SimpleNamespace(
        model=StubTeacher(),
        cfg={},
        visualizer=SimpleNamespace(),
        call_hook=lambda name, **arguments: None,
    )

    def label() -> dict[str, float]:
        LabelLoop(runner, loader, store=str(folder / f'labels{images}')).run()
        return {}

    return in_child(label)


def table(rows: Sequence[dict[str, float]]) -> Iterator[str]:
    """Format the rows as text, a line per figure."""
    for name in rows[-1]:
        values = (f'{row[name]:>14,.2f}' if name in row else ' ' * 14 for row in rows)
        yield f'{name:<20}' + ''.join(values)


def draw_plot(path: str, rows: Sequence[dict[str, float]]) -> None:
    """Plot the costs of both sides over the number of candidates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout='constrained')
    sides = (('coco', 'COCO json, CocoDataset'), ('store', 'label store'))
    for axes, what, unit in zip(
        figure.subplots(1, 2), ('s', 'mib'), ('seconds', 'MiB'), strict=True
    ):
        for side, name in sides:
            points = [row for row in rows if f'{side}_{what}' in row]
            x = [row['candidates'] for row in points]
            axes.plot(x, [row[f'{side}_{what}'] for row in points], 'o-', label=name)
        axes.set(xscale='log', yscale='log', xlabel='candidates', ylabel=unit)
        axes.grid(alpha=0.3)
    axes.legend()
    figure.suptitle('from disk to the first batch: time, and peak memory')
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add = parser.add_argument
    add('--candidates', type=int, nargs='+', default=[10_000, 100_000, 1_000_000])
    add('--images', type=int, nargs='+', default=[1000, 100_000])
    add('--coco-up-to', type=int, default=10**9, help='leave larger jsons out')
    add('--plot', metavar='FILE', help='also draw the costs, e.g. label_store.png')
    add('--folder', help='where the data is written for the time; a temporary one')
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        write_store(folder / 'tiny', 100)
        select(folder / 'tiny')
        export(folder / 'tiny', folder / 'tiny.json', details=False)
        rows = [
            compare(folder, count, count <= arguments.coco_up_to)
            for count in arguments.candidates
        ]
        labeling = [label_images(folder, count) for count in arguments.images]
    lines = list(table(rows))
    for count, figures in zip(arguments.images, labeling, strict=True):
        speed = count / figures['seconds']
        lines.append(
            f'labeling {count:>9,} images: peak {figures["peak"]:.1f} MiB, '
            f'{speed:,.0f} images a second'
        )
    if arguments.plot:
        draw_plot(arguments.plot, rows)
    last = next((row for row in reversed(rows) if 'coco_s' in row), rows[-1])
    peaks = [figures['peak'] for figures in labeling]
    ratios = dict(
        candidates=int(last['candidates']),
        coco_over_store_time=last.get('coco_s', np.nan) / last['store_s'],
        coco_over_store_memory=last.get('coco_mib', np.nan) / last['store_mib'],
        coco_over_store_disk=last.get('coco_bytes', np.nan) / last['store_bytes'],
        labeling_memory_growth=peaks[-1] / peaks[0] - 1,
        select_seconds=last['select_s'],
        select_command_seconds=last['select_command_s'],
        worker_own_mib=last['store_worker_mib'],
    )
    sys.stdout.write('\n'.join([*lines, json.dumps(ratios), '']))


if __name__ == '__main__':
    sys.exit(run(main))
