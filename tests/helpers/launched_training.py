"""What torchrun starts in tests: a rank that trains and writes what it saw."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from students import train

from mmdistill.cli.main import run
from mmdistill.engine.runner import prepare_cpu_launch


def main(argv: Sequence[str] | None = None) -> None:
    """Train by the named config; samples and weights go into its work folder."""
    (path,) = argv or sys.argv[1:]
    config = Config.fromfile(path)
    prepare_cpu_launch(config)
    diary, weights = train(config)
    torch.save(
        (diary.samples, weights), Path(config.work_dir, f'rank{os.environ["RANK"]}.pth')
    )


if __name__ == '__main__':
    sys.exit(run(main))
