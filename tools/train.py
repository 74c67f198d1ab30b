"""Train a model, after labeling if the config has a `distill` section."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import WORKER_ADVICE, run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    check_environment()
    from mmdistill import stages
    from mmdistill.audits import report_label_worth
    from mmdistill.cli.arguments import (
        add_config_arguments,
        add_training_arguments,
        load_config,
        with_training_arguments,
    )
    from mmdistill.config.loops import check_training
    from mmdistill.config.output_files import check_output
    from mmdistill.config.text import write_config

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    add_training_arguments(parser)
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
    arguments = parser.parse_args(argv)
    config = with_training_arguments(load_config(arguments), arguments)
    chosen = arguments.round, arguments.student
    check_training(config)
    if arguments.write_config is not None:
        check_output('--write-config', arguments.write_config, config)
    if arguments.write_config:
        if arguments.round is not None:
            config = stages.round_config(config, *chosen)
        write_config(stages.training_config(config), arguments.write_config)
    elif arguments.round is not None:
        stages.train_round(config, *chosen, report_label_worth)
    else:
        stages.train(config, report_label_worth)


if __name__ == '__main__':
    sys.exit(run(main, worker_advice=WORKER_ADVICE))
