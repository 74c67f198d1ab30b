"""What torchrun starts in tests: a rank that labels with a stub for the network."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import mmpose
import torch.distributed
from mmengine.config import Config

from mmdistill.cli.main import run

# By its own name: site-packages may hold a package that is called `tests`.
sys.path.insert(0, str(Path(__file__).parents[2] / 'helpers'))
from labeling import Teacher, run_loop


def main(argv: Sequence[str] | None = None) -> None:
    """Label `pile` into `labels`, both in the folder that is named.

    A rank may be named whose files must not grow as large as a chunk.
    """
    folder, *unlucky = argv or sys.argv[1:]
    root = Path(folder)
    torch.distributed.init_process_group('gloo')
    base = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets/coco.py'
    metainfo = Config.fromfile(base).dataset_info
    if os.environ['RANK'] in unlucky:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    teacher = Teacher(seconds=0.05, diary=root / f'diary{os.getpid()}')
    run_loop(root / 'pile', root / 'labels', metainfo, teacher, chunk_size=4)


if __name__ == '__main__':
    sys.exit(run(main))
