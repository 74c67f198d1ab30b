"""Compare recipes that tools/new_recipe.py writes with those that are made by hand.

For each set new_recipe.py gets the data and no setting, and distill.py its recipe; the
recipe of configs/distill/ is distilled beside it. Both students are tested on the same
images in their true boxes. What is done is not done again, and what was stopped goes on
by the same command.

    python -m tools.benchmarks.two_commands toy openfield lspe --jobs 2
    python -m tools.benchmarks.two_commands toy openfield lspe --status
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.cli.main import run
from mmdistill.functional.bootstrap import Interval, paired_interval
from mmdistill.pipeline.evaluation import PCK_THRS, ImageResults
from mmdistill.pipeline.verdict import compare_models
from mmdistill.utils.commands import run_command, shown
from mmdistill.utils.logging import format_table

REPOSITORY = Path(__file__).parents[2]
METRICS = tuple(f'PCK@{thr}' for thr in PCK_THRS)
SETS: Mapping[str, Sequence[str]] = {
    'lspe': (
        *('--labeled', 'data/lspe/annotations/train.json'),
        *('--val', 'data/lspe/annotations/val.json'),
        *('--unlabeled', 'data/lspe/annotations/unlabeled.json'),
        *('--boxes', 'data/lspe/annotations/unlabeled_boxes.json'),
        *('--images', 'data/lspe/images'),
    ),
    'openfield': (
        *('--labeled', 'data/openfield/annotations/train.json'),
        *('--val', 'data/openfield/annotations/val.json'),
        *('--unlabeled', 'data/openfield/videos/m3v1mp4.mp4'),
        *('--images', 'data/openfield/images'),
    ),
    'toy': (
        *('--labeled', 'data/toy/annotations/labeled.json'),
        *('--val', 'data/toy/annotations/val.json'),
        *('--unlabeled', 'data/toy/images/unlabeled'),
    ),
}
"""What new_recipe.py is told of each set: where the data are, and no setting."""
DETECTORS = {'toy': 'configs/distill/toy/detector.py'}
"""Detectors of sets with several instances on an image; both recipes have one."""


def by_commands(name: str, folder: Path, jobs: int) -> list[list[str]]:
    """The two commands, from raw annotations to the student.

    Args:
        name: The set.
        folder: Folder of the set's work.
        jobs: Steps that run side by side.
    """
    recipe = folder / 'recipe'
    new_recipe = ['tools/new_recipe.py', name, *SETS[name], '--yes']
    if name in DETECTORS:
        new_recipe += ['--detector', DETECTORS[name]]
        new_recipe += ['--detector-checkpoint', _detector(name, folder)]
    new_recipe += ['--out', str(recipe), '--work-dir', str(folder / 'commands')]
    distill = ['tools/distill.py', str(recipe / 'student.py'), '--jobs', str(jobs)]
    return [new_recipe, distill]


def by_hand(name: str, folder: Path, jobs: int) -> list[str]:
    """The command that distills the recipe of the repository into a folder of ours.

    Args:
        name: The set.
        folder: Folder of the set's work.
        jobs: Steps that run side by side.
    """
    file = f'configs/distill/{name}/student.py'
    teacher = Path(_distill_of(name).teacher.checkpoint).name
    options = [
        f'distill.teacher.checkpoint={folder / "hand/teacher" / teacher}',
        f'distill.store={folder / "hand/labels"}',
    ]
    if name in DETECTORS:
        options.append(f'distill.detector.checkpoint={_detector(name, folder)}')
    command = ['tools/distill.py', file, '--jobs', str(jobs)]
    command += ['--work-dir', str(folder / 'hand/student')]
    return [*command, '--cfg-options', *options]


def _distill_of(name: str) -> Any:
    """The `distill` section of the recipe that is made by hand."""
    file = REPOSITORY / f'configs/distill/{name}/student.py'
    return Config.fromfile(file, import_custom_modules=False).distill


def _detector(name: str, folder: Path) -> str:
    """The checkpoint of the detector of both recipes, trained once."""
    return str(folder / 'detector' / Path(_distill_of(name).detector.checkpoint).name)


def results_of(folder: Path) -> dict[str, ImageResults]:
    """Results of both students, of those that there are."""
    files = {
        name: folder / name / 'student-distill/student/images.json'
        for name in ('commands', 'hand')
    }
    return {
        name: ImageResults.read(file) for name, file in files.items() if file.is_file()
    }


def differences(results: Mapping[str, ImageResults]) -> dict[str, Interval]:
    """Difference of both students in each metric, with its interval over images.

    Args:
        results: Their results.

    Raises:
        UserError: If they were tested on other instances.
    """
    compare_models(results)
    commands, hand = results['commands'], results['hand']
    return {
        metric: paired_interval(commands.values[metric], hand.values[metric])
        for metric in METRICS
    }


def report(names: Sequence[str], work_dir: Path) -> tuple[str, dict[str, Any]]:
    """The table of what is done so far, and its figures.

    Args:
        names: The sets.
        work_dir: The folder of the work.
    """
    rows = [['set', 'student', 'images', *METRICS]]
    numbers: dict[str, Any] = {}
    for name in names:
        results = results_of(work_dir / name)
        numbers[name] = {}
        for kind, label in (('hand', 'made by hand'), ('commands', 'two commands')):
            if kind not in results:
                rows.append([name, label, 'not done', *('' for _ in METRICS)])
                continue
            means = {m: float(results[kind].values[m].mean()) for m in METRICS}
            numbers[name][kind] = means
            cells = [f'{means[metric]:.4f}' for metric in METRICS]
            rows.append([name, label, str(len(results[kind].images)), *cells])
        if len(results) == 2:
            found = differences(results)
            numbers[name]['difference'] = {k: asdict(v) for k, v in found.items()}
            cells = [
                f'{each.difference:+.4f} [{each.low:+.4f}, {each.high:+.4f}]'
                for each in found.values()
            ]
            rows.append([name, 'difference', '', *cells])
    return format_table(rows), numbers


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, do what is left, print the table."""
    arguments = _parser().parse_args(argv)
    for name in () if arguments.status else arguments.sets:
        folder = arguments.work_dir / name
        new_recipe, distill = by_commands(name, folder, arguments.jobs)
        hand = by_hand(name, folder, arguments.jobs)
        # The recipe is written once: it is what the student was trained by.
        first = [] if (folder / 'recipe').is_dir() else [new_recipe]
        if name == 'toy':
            first = [['tools/make_toy_data.py', 'data/toy'], *first]
        for command in [*first, distill, hand]:
            _call(command)
    table, numbers = report(arguments.sets, arguments.work_dir)
    sys.stdout.write(f'{table}\n{json.dumps(numbers)}\n')


def _call(command: Sequence[str]) -> None:
    sys.stdout.write(f'$ {shown(command)}\n')
    sys.stdout.flush()
    known = os.environ.get('PYTHONPATH')
    path = os.pathsep.join(filter(None, [str(REPOSITORY), known]))
    words = [sys.executable, str(REPOSITORY / command[0]), *command[1:]]
    run_command(words, command[0], environment=dict(PYTHONPATH=path))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tools.benchmarks.two_commands',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'sets', nargs='+', choices=sorted(SETS), help='data sets below data/'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/two_commands'))
    parser.add_argument('--jobs', type=int, default=1, help='steps side by side')
    parser.add_argument(
        '--status', action='store_true', help='print the table so far, run nothing'
    )
    return parser


if __name__ == '__main__':
    sys.exit(run(main))
