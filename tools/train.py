"""Train a model, after labeling if the config has a `distill` section."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import WORKER_ADVICE, run
from mmdistill.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    check_environment()
    from mmdistill import stages
    from mmdistill.audits import report_label_worth
    from mmdistill.cli.arguments import load_config, with_training_arguments
    from mmdistill.config.loops import check_training
    from mmdistill.reports.show import check_shown, show_training

    arguments = _parser().parse_args(argv)
    config = with_training_arguments(load_config(arguments), arguments)
    chosen = arguments.round, arguments.student
    check_training(config)
    if arguments.write_config is not None:
        _write_config(config, arguments)
        return
    if arguments.show is not None:
        check_shown(config, arguments.show)
        if 'distill' not in config:
            show_training(config, arguments.show)

    def after_labeling(config: Config) -> None:
        report_label_worth(config)
        if arguments.show is not None:
            show_training(config, arguments.show)

    if arguments.round is not None:
        stages.train_round(config, *chosen, after_labeling)
    else:
        stages.train(config, after_labeling)


def _write_config(config: Config, arguments: argparse.Namespace) -> None:
    """Write the config of a training, and train nothing."""
    from mmdistill import stages
    from mmdistill.config.output_files import check_output
    from mmdistill.config.text import write_config

    if arguments.show is not None:
        raise ConfigError(
            '--show draws what a training begins with, and --write-config trains '
            'nothing; use tools/show.py'
        )
    check_output('--write-config', arguments.write_config, config)
    if arguments.round is not None:
        config = stages.round_config(config, arguments.round, arguments.student)
    write_config(stages.training_config(config), arguments.write_config)


def _parser() -> argparse.ArgumentParser:
    from mmdistill.cli.arguments import add_config_arguments, add_training_arguments

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    add_training_arguments(parser)
    parser.add_argument(
        '--show',
        type=int,
        metavar='N',
        help='before training, draw N pseudo-labels, views and samples of each kind '
        'into the work folder',
    )
    parser.add_argument(
        '--write-config',
        metavar='FILE',
        help="write the stage's config for MMPose's own tools/train.py, train nothing; "
        'the labels must be selected',
    )
    parser.add_argument(
        '--round',
        type=int,
        metavar='N',
        help='with distill.rounds: label for round N alone and train a student of it '
        'in this process',
    )
    parser.add_argument(
        '--student',
        type=int,
        default=0,
        metavar='N',
        help='which student of the round, 0 being the first',
    )
    return parser


if __name__ == '__main__':
    sys.exit(run(main, worker_advice=WORKER_ADVICE))
