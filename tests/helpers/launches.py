"""Several processes by torchrun, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def torchrun(script: Path, *arguments: str, ranks: int = 2) -> list[str]:
    """The command that starts a script on several ranks."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    return [*command, '--nproc-per-node', str(ranks), str(script), *arguments]


def launch(script: Path, *arguments: str) -> None:
    """Run a script on two ranks; what it said is shown if it fails."""
    told = subprocess.run(
        torchrun(script, *arguments),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert told.returncode == 0, f'{told.stdout}\n{told.stderr}'
