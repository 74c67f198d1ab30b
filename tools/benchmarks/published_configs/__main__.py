"""Run plan, label, select and two training steps on every 2-D config of MMPose.

    python -m tools.benchmarks.published_configs [--only PATTERN] [--jobs N]
        [--resume FILE] [--write configs/README.md]

Each config runs in a process of its own, with a time limit, and is one line of JSON in
the file of results; a config that has its line is not run again. What is written is the
table of what works and what is refused, with the sentence it is refused with.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run
from tools.benchmarks.published_configs.table import put_into, render
from tools.benchmarks.published_configs.trial import (
    STAGES,
    load_tool,
    published_root,
    remove,
    try_config,
)

FORK = multiprocessing.get_context('fork')
SUBJECTS = ('body', 'face', 'hand', 'animal', 'wholebody', 'fashion')
WARM = (
    *('mmdet.models', 'mmdet.datasets', 'mmpose.datasets', 'mmpose.models'),
    *('mmpose.evaluation', 'mmpose.engine', 'mmpose.visualization', 'mmengine.runner'),
    *('mmdistill.datasets', 'mmdistill.models', 'mmdistill.stages', 'mmdistill.plans'),
    *(
        'mmdistill.engine.loops.label_loop',
        'mmdistill.engine.hooks.count_matching_hook',
    ),
    *(
        'mmdistill.engine.loops.resumable_loops',
        'mmdistill.engine.hooks.student_log_hook',
    ),
    *('albumentations', 'mmpretrain.models'),
)
"""Modules that the tools import, imported once before processes are forked."""
RESULTS = 'work_dirs/published_configs.jsonl'


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run what has no result yet, and show the table.

    Returns:
        1 if a config ended with an error that is no sentence.
    """
    parser = argparse.ArgumentParser(
        prog='python -m tools.benchmarks.published_configs', description=__doc__
    )
    parser.add_argument('--only', default='', help='a pattern of the paths to run')
    parser.add_argument('--jobs', type=int, default=1, help='configs at the same time')
    parser.add_argument('--resume', default=RESULTS, metavar='FILE', help='results')
    parser.add_argument('--seconds', type=float, default=900, help='limit of a config')
    parser.add_argument('--write', metavar='FILE', help='file to put the table into')
    parser.add_argument('--keep', metavar='DIR', help='leave the work folders in here')
    arguments = parser.parse_args(argv)
    check_environment()
    results = Path(arguments.resume)
    results.parent.mkdir(parents=True, exist_ok=True)
    names = [name for name in published() if re.search(arguments.only, name)]
    done = {row['config'] for row in read_results(results)}
    todo = [name for name in names if name not in done]

    run_all(todo, results, arguments)
    rows = read_results(results)
    if arguments.write:
        put_into(Path(arguments.write), render(rows, published(), revision()))
    wanted = set(names)
    mine = [row for row in rows if row['config'] in wanted]
    return int(any('defect: ' in json.dumps(row['stages']) for row in mine))


def run_all(names: Sequence[str], results: Path, arguments: argparse.Namespace) -> None:
    """Run configs, each in a process, and record each result.

    Args:
        names: Their paths below MMPose's configs.
        results: The file of results.
        arguments: Of the command line: `jobs`, `seconds` and `keep`.
    """

    def take(name: str) -> None:
        row = run_apart(name, arguments.seconds, arguments.keep)
        # A line break first: the line before may have been cut short by a kill.
        line = json.dumps(dict(row, revision=revision()))
        with results.open('a') as file:
            file.write(f'\n{line}')
        sys.stdout.write(f'{summary(row)}\n')
        sys.stdout.flush()

    if names:
        warm_up()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(take, names))


def revision() -> str:
    """Return the short commit of this checkout, with a plus sign if files differ."""
    command = ['git', '-C', str(Path(__file__).parent), 'describe', '--always']
    described = subprocess.run(
        [*command, '--dirty=+', '--exclude=*'],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or 'unknown'


def published() -> list[str]:
    """List the 2-D configs of MMPose by path."""
    root = published_root()
    folders = [root / f'{subject}_2d_keypoint' for subject in SUBJECTS]
    paths = [path for folder in folders for path in folder.rglob('*.py')]
    names = [path.relative_to(root).as_posix() for path in paths]
    # Families mixed, so that the results of a part of them say something of all.
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read the results; a line cut short by a kill is skipped."""
    return list(_rows(path))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)


def warm_up() -> None:
    """Import the modules of every config once, before processes are forked."""
    for module in WARM:
        importlib.import_module(module)
    # A trial batch of each stage shows what more of them would, and the layout of a
    # config that is logged and saved takes seconds each time.
    sys.modules['mmdistill.plans.estimate'].BATCHES = 1
    sys.modules['mmengine.config.config'].FormatCode = lambda text, **_: (text, True)
    for stage in STAGES:
        load_tool(stage)


def run_apart(name: str, seconds: float, keep: str | None = None) -> dict[str, Any]:
    """Try a config in a process of its own.

    Args:
        name: Its path below MMPose's configs.
        seconds: Limit; a config that takes longer is ended.
        keep: Where its work folder stays; by default it is removed.
    """
    folder = Path(tempfile.mkdtemp(prefix='published-', dir=keep)).resolve()
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(name, folder, sender))
    child.start()
    sender.close()
    row: dict[str, Any] = dict(config=name)
    try:
        if receiver.poll(seconds):
            row = receiver.recv()
        else:
            row['stages'] = dict(limit=f'defect: no end within {seconds:.0f} s')
    except EOFError:
        child.join()
        row['stages'] = dict(process=f'defect: ended with {child.exitcode}')
    finally:
        child.kill()
        child.join()
        if keep is None:
            remove(folder)
    return row


def _child(name: str, folder: Path, sender: Any) -> None:
    sender.send(try_config(name, folder))
    sender.close()


def summary(row: dict[str, Any]) -> str:
    """Format a result as one line."""
    stages = row['stages']
    states = ' '.join(f'{stage}={text.split(":")[0]}' for stage, text in stages.items())
    odd = next((text for text in stages.values() if text != 'works'), '')
    return f'{row["config"]}: {states} {row.get("seconds", "")} s {odd}'


if __name__ == '__main__':
    sys.exit(run(main))
