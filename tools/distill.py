"""Go from labels to an answer: is the student better than its teacher?

python tools/distill.py RECIPE
python tools/distill.py RECIPE --baseline
python tools/distill.py RECIPE --dry-run

Trains the teacher where it is not trained yet, finds boxes, labels, selects, audits,
trains the student, tests all models and writes the report. What is done is not done
again, and what was stopped goes on by the same command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run
from mmdistill.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, run the steps and print the answer."""
    check_environment()
    from mmdistill.cli.arguments import load_config
    from mmdistill.cli.loggers import check_logger
    from mmdistill.config.files import recipe_file
    from mmdistill.config.recipe import Recipe
    from mmdistill.pipeline import Distillation, distill
    from mmdistill.pipeline.run import dry_run
    from mmdistill.reports.show import check_shown

    arguments = _parser().parse_args(argv)
    if arguments.launcher != 'none':
        raise ConfigError(
            'tools/distill.py starts its commands itself, one process each, and takes '
            f'no --launcher {arguments.launcher}; leave it out, or start the commands '
            'that --dry-run prints by torchrun'
        )
    check_logger(arguments.logger)
    recipe = Recipe.of(load_config(arguments))
    if arguments.show is not None:
        check_shown(recipe.config, arguments.show)
    work = Distillation(
        recipe,
        recipe_file(arguments.config),
        arguments.baseline,
        is_changed=bool(arguments.cfg_options or arguments.work_dir),
        training_words=_words('--logger', arguments.logger),
        student_words=_words('--show', arguments.show),
        has_baseline=not arguments.no_baseline,
    )
    jobs = arguments.jobs
    answer = dry_run(work) if arguments.dry_run else distill(work, jobs=jobs)
    sys.stdout.write(f'{answer}\n')


def _words(flag: str, value: object) -> tuple[str, ...]:
    """A flag as a command has it, none where it is not given."""
    return () if value is None else (flag, str(value))


def _parser() -> argparse.ArgumentParser:
    from mmdistill.cli.arguments import add_config_arguments, add_logger_argument

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    baseline = parser.add_mutually_exclusive_group()
    baseline.add_argument(
        '--baseline',
        nargs='?',
        const='',
        metavar='CONFIG',
        help='also train this supervised config and compare with it; by default the '
        'baseline.py beside the recipe. Without asking where the teacher is of another '
        'config',
    )
    baseline.add_argument('--no-baseline', action='store_true', help='train none')
    parser.add_argument(
        '--dry-run', action='store_true', help='print the commands, run nothing'
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        metavar='N',
        help='run up to N steps side by side that need not wait for each other, each '
        'with its share of the cores',
    )
    add_logger_argument(parser)
    parser.add_argument(
        '--show',
        type=int,
        metavar='N',
        help='before the student is trained, draw N pseudo-labels, views and samples '
        'of each kind into its work folder',
    )
    return parser


if __name__ == '__main__':
    sys.exit(run(main))
