"""Compare poses that stand on a detector with those that stand on its student.

The detectors are those of `gap_recovery configs/distill/toy_detection/student.py`: of
each seed the baseline, trained on the labels, and the student of the same number of
iterations. Each finds the boxes of the unlabeled images and of val. A pose model is
distilled on the boxes of each, from one teacher, and tested in the boxes of the same
detector on val. What is done is not done again, and what was stopped goes on by the
same command.

    python -m tools.benchmarks.gap_recovery configs/distill/toy_detection/student.py
    python -m tools.benchmarks.detector_chain --jobs 2
    python -m tools.benchmarks.detector_chain --status
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmdistill.cli.main import run
from mmdistill.errors import DataError
from mmdistill.utils.files import file_sha256
from mmdistill.utils.logging import format_table
from tools.benchmarks.gap_recovery.__main__ import set_up_processes
from tools.benchmarks.gap_recovery.continued import Run
from tools.benchmarks.gap_recovery.runs import Ledger, call, locked, shown, work_off

DETECTOR = 'configs/distill/toy_detection/baseline.py'
TEACHER = 'configs/distill/toy/teacher.py'
BASELINE = 'configs/distill/toy/baseline.py'
STUDENT = 'configs/distill/toy/student.py'
TRAINED = 'work_dirs/gap_recovery/toy_detection/labeled_all'
"""Folder of the comparison that trains the detectors."""
DETECTORS = {'baseline': 'supervised_500/iter_500', 'student': 'fusion/iter_500'}
"""Checkpoint of each detector in the folder of its seed."""
AP = 'coco/AP'


def checkpoint_of(seed: int, detector: str) -> Path:
    """Path of the checkpoint of a detector.

    Args:
        seed: Its seed.
        detector: A key of `DETECTORS`.

    Raises:
        DataError: If it is not trained.
    """
    path = Path(TRAINED, f'seed{seed}', f'{DETECTORS[detector]}.pth')
    if not path.is_file():
        raise DataError(
            f'the detectors of seed {seed} must be trained, {path} does not exist; run '
            '`python -m tools.benchmarks.gap_recovery '
            'configs/distill/toy_detection/student.py` first'
        )
    return path


def plan(seeds: Sequence[int], work_dir: str) -> list[Run]:
    """List the runs, each after those that it needs.

    Args:
        seeds: The seeds.
        work_dir: Folder of the runs.
    """
    runs = []
    for seed in seeds:
        teacher = f'seed{seed}/teacher'
        training = _training(TEACHER, f'{work_dir}/{teacher}', seed)
        runs.append(Run(teacher, TEACHER, [training]))
        for detector in DETECTORS:
            runs += _runs_of_detector(seed, detector, teacher, work_dir)
    return runs


def _runs_of_detector(
    seed: int, detector: str, teacher: str, work_dir: str
) -> list[Run]:
    """The boxes of val, and both pose models in them."""
    name = f'seed{seed}/{detector}'
    checkpoint = str(checkpoint_of(seed, detector))
    boxes = f'{work_dir}/{name}/boxes/val'
    finding = ['tools/test.py', DETECTOR, checkpoint]
    finding += ['--work-dir', f'{work_dir}/{name}/boxes', '--cfg-options']
    finding += ['test_evaluator.format_only=True']
    finding += [f'test_evaluator.outfile_prefix={boxes}']
    found = f'test_dataloader.dataset.bbox_file={boxes}.bbox.json'
    trained = f'{work_dir}/{teacher}/iter_500.pth'
    training = _training(STUDENT, f'{work_dir}/{name}/student', seed)
    training += [
        f'distill.teacher.checkpoint={trained}',
        f'distill.store={work_dir}/{name}/labels',
        f'distill.detector.config={DETECTOR}',
        f'distill.detector.checkpoint={checkpoint}',
    ]
    return [
        Run(f'{name}/boxes', checkpoint, [finding]),
        Run(
            f'{name}/teacher',
            TEACHER,
            [_test(TEACHER, trained, f'{work_dir}/{name}/teacher', found)],
            [teacher, f'{name}/boxes'],
        ),
        Run(
            f'{name}/student',
            STUDENT,
            [
                training,
                _test(
                    BASELINE,
                    f'{work_dir}/{name}/student/iter_700.pth',
                    f'{work_dir}/{name}/student',
                    found,
                ),
            ],
            [teacher, f'{name}/boxes'],
        ),
    ]


def _training(config: str, folder: str, seed: int) -> list[str]:
    command = ['tools/train.py', config, '--work-dir', folder, '--no-validate']
    return [*command, '--cfg-options', f'randomness.seed={seed}']


def _test(config: str, checkpoint: str, folder: str, option: str) -> list[str]:
    command = ['tools/test.py', config, checkpoint, '--work-dir', f'{folder}/test']
    return [*command, '--out', f'{folder}/metrics.json', '--cfg-options', option]


def report(
    seeds: Sequence[int], results: Mapping[str, Mapping]
) -> tuple[str, dict[str, dict[str, list[float]]]]:
    """The table of what is done so far, and the AP of each seed.

    Args:
        seeds: The seeds.
        results: Results of the finished runs by their name.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    rows = [['poses of', "baseline's boxes", "student's boxes", 'difference']]
    for model in ('teacher', 'student'):
        scores[model] = {
            detector: [
                float(results[name]['metrics'][AP])
                for seed in seeds
                if (name := f'seed{seed}/{detector}/{model}') in results
            ]
            for detector in DETECTORS
        }
        columns = [scores[model][detector] for detector in DETECTORS]
        complete = all(len(column) == len(seeds) for column in columns)
        change = np.subtract(columns[1], columns[0]) if complete else []
        shown_columns = [_mean(column) for column in columns]
        rows.append([f'the {model}', *shown_columns, _mean(change, '+')])
    return format_table(rows), scores


def _mean(values: Sequence[float] | np.ndarray, sign: str = '') -> str:
    """Mean and standard deviation, nothing where there are no values."""
    if not len(values):
        return 'not done'
    deviation = f' ± {np.std(values, ddof=1):.3f}' if len(values) > 1 else ''
    return f'{np.mean(values):{sign}.3f}{deviation}'


def contents(seeds: Sequence[int]) -> dict[str, object]:
    """Collect the inputs of the runs beside their commands, by `Run.config`.

    Args:
        seeds: The seeds.
    """
    from mmengine.config import Config

    configs: dict[str, object] = {
        path: Config.fromfile(path, import_custom_modules=False).to_dict()
        for path in (TEACHER, BASELINE, STUDENT, DETECTOR)
    }
    for seed in seeds:
        for detector in DETECTORS:
            checkpoint = checkpoint_of(seed, detector)
            made_of = [file_sha256(checkpoint), configs[DETECTOR]]
            configs[str(checkpoint)] = made_of
    return configs


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, do what is left, print the table."""
    summary, _, rest = (__doc__ or '').partition('\n')
    parser = argparse.ArgumentParser(
        prog='python -m tools.benchmarks.detector_chain',
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--work-dir', default='work_dirs/detector_chain')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    parser.add_argument(
        '--status', action='store_true', help='print the table so far, run nothing'
    )
    arguments = parser.parse_args(argv)
    set_up_processes(arguments.jobs, Path(STUDENT).parent)
    runs = plan(arguments.seeds, arguments.work_dir)
    ledger = Ledger(Path(arguments.work_dir), contents(arguments.seeds))

    def perform(each: Run) -> None:
        for command in each.commands:
            sys.stdout.write(f'$ {shown(command)}\n')
        sys.stdout.flush()
        ledger.perform(each, ledger.fingerprints(runs)[each.name], call)

    if not arguments.status:
        with locked(Path(arguments.work_dir)):
            work_off(lambda: (runs, ledger.results(runs)), perform, arguments.jobs)
    table, scores = report(arguments.seeds, ledger.results(runs))
    sys.stdout.write(f'{table}\n{json.dumps(scores)}\n')


if __name__ == '__main__':
    sys.exit(run(main))
