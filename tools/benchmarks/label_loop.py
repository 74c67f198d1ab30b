"""Benchmark what the labeling loop itself costs an image, beside decoding its JPEG.

The real loop, data set and store label tar shards of 640×480 JPEGs with a stub for the
model, which takes no time. Beside them the decoder alone, on the same bytes in memory,
in one process. Both as images per second of the wall clock, and as CPU time an image of
the main process and of the loader's workers, which a busy machine changes less.

`--profile` prints the functions that take most of the main process, with the images
read there. The last line is JSON. Figures of a loaded machine mean little.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import os
import pstats
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import mmcv
import numpy as np

from mmdistill.cli.main import run
from mmdistill.engine.loops.label_loop import LabelLoop
from tools.benchmarks.drawn_labels import HEIGHT, METAINFO, WIDTH, StubTeacher

QUALITY = 90
"""Quality of the JPEGs; their size, about 100 kB, is that of photographs."""
DIFFERENT = 16
"""Number of different pictures, which come again and again."""
SHOWN = 25
"""Number of functions that a profile shows."""


def encoded_pictures() -> list[bytes]:
    """Encode pictures with the detail of photographs: noise at several sizes."""
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(DIFFERENT):
        picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
        for cell, contrast in ((160, 90), (40, 50), (8, 25), (2, 12)):
            size = HEIGHT // cell, WIDTH // cell, 3
            noise = random.normal(0, contrast, size).astype(np.float32)
            picture += cv2.resize(noise, (WIDTH, HEIGHT))
        pixels = (picture + 128).clip(0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        pictures.append(cv2.imencode('.jpg', pixels, quality)[1].tobytes())
    return pictures


def write_shards(
    folder: Path, pictures: Sequence[bytes], images: int, shards: int
) -> None:
    """Write tar shards of equal size.

    Args:
        folder: Where to.
        pictures: JPEGs, which come in turn.
        images: Number of images.
        shards: Number of tars.
    """
    for shard in range(shards):
        with tarfile.open(folder / f'images-{shard:04d}.tar', 'w') as tar:
            for number in range(shard, images, shards):
                data = pictures[number % len(pictures)]
                member = tarfile.TarInfo(f'{number:08d}.jpg')
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Measure seconds of the wall clock, and CPU seconds of this process and others."""

    def spent(who: int) -> float:
        usage = resource.getrusage(who)
        return usage.ru_utime + usage.ru_stime

    own, others = spent(resource.RUSAGE_SELF), spent(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    work()
    return dict(
        wall=time.perf_counter() - start,
        main=spent(resource.RUSAGE_SELF) - own,
        workers=spent(resource.RUSAGE_CHILDREN) - others,
    )


def decode_whole(picture: bytes) -> None:
    """Decode all pixels, as the data set does."""
    mmcv.imfrombytes(picture, backend='cv2')


def decode_half(picture: bytes) -> None:
    """Decode at half the size, as the data set does for boxes of whole images."""
    cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)


def decode_all(
    pictures: Sequence[bytes], images: int, decode: Callable[[bytes], None]
) -> None:
    """Decode images, and do nothing with them."""
    for number in range(images):
        decode(pictures[number % len(pictures)])


def make_loop(folder: Path, store: Path, options: argparse.Namespace) -> LabelLoop:
    """Build the loop over the shards of a folder."""
    dataset = dict(
        type='mmdistill.UnlabeledDataset',
        metainfo=dict(METAINFO),
        data_root=str(folder),
        sources=[dict(type='TarSource', path='images-*.tar')],
    )
    loader = dict(
        batch_size=options.batch_size, num_workers=options.workers, dataset=dataset
    )
    runner = SimpleNamespace(
        model=StubTeacher(),
        cfg={},
        visualizer=SimpleNamespace(),
        call_hook=lambda name, **arguments: None,
    )
    return LabelLoop(runner, loader, store=str(store), reduced_decoding=options.reduced)


def profiled(work: Callable[[], Any]) -> None:
    """Print the functions of a call that take most time of their own."""
    profile = cProfile.Profile()
    profile.runcall(work)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats('tottime').print_stats(SHOWN)
    print(text.getvalue())


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Write the shards, run both sides, and return the figures."""
    pictures = encoded_pictures()
    write_shards(folder, pictures, options.images, options.shards)
    if options.profile:
        here = argparse.Namespace(**{**vars(options), 'workers': 0})
        profiled(make_loop(folder, folder / 'profiled', here).run)
    decode = decode_half if options.reduced else decode_whole
    decode_all(pictures, DIFFERENT, decode)
    decoder = timed(lambda: decode_all(pictures, options.images, decode))
    loop = make_loop(folder, folder / 'labels', options)
    ours = timed(loop.run)
    cores = len(os.sched_getaffinity(0))
    each = 1e3 / options.images
    cpu = ours['main'] + ours['workers']
    return dict(
        images=options.images,
        workers=options.workers,
        cores=cores,
        jpeg_kilobytes=sum(map(len, pictures)) / len(pictures) / 1e3,
        images_per_second=options.images / ours['wall'],
        decoder_images_per_second=options.images / decoder['wall'],
        decoder_cpu_ms=decoder['main'] * each,
        main_cpu_ms=ours['main'] * each,
        workers_cpu_ms=ours['workers'] * each,
        loop_over_decoder_cpu=cpu / decoder['main'],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--images', type=int, default=4000)
    add('--shards', type=int, default=4)
    add('--workers', type=int, default=2, help='loader processes')
    add('--batch-size', type=int, default=16)
    add('--reduced', action='store_true', help='decode at half the size')
    add('--profile', action='store_true')
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options)
    for name, value in result.items():
        print(f'{name:28}{value:12.2f}')
    print(json.dumps(result))


if __name__ == '__main__':
    sys.exit(run(main))
