"""Label the unlabeled images of a config and select labels by count matching."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and label."""
    check_environment()
    from mmdistill import stages
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.config.output_files import check_output
    from mmdistill.config.text import write_config

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--write-config',
        metavar='FILE',
        help="write the stage's config for MMPose's own tools/test.py, label nothing",
    )
    parser.add_argument(
        '--status',
        action='store_true',
        help='print what is done, missing and failed and who labels, label nothing',
    )
    parser.add_argument(
        '--max-failures',
        type=float,
        metavar='SHARE',
        help='share of failed images above which the finished run exits with 1 '
        '(0.05, or distill.labeling.max_failures)',
    )
    arguments = parser.parse_args(argv)
    config = load_config(arguments)
    if arguments.max_failures is not None:
        options = {'distill.labeling.max_failures': arguments.max_failures}
        config.merge_from_dict(options)
    if arguments.write_config is not None:
        check_output('--write-config', arguments.write_config, config)
    if arguments.status:
        sys.stdout.write('\n'.join([*stages.status(config), '']))
    elif arguments.write_config:
        write_config(stages.labeling_config(config), arguments.write_config)
    else:
        stages.label(config)


if __name__ == '__main__':
    sys.exit(run(main))
