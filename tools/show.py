"""Draw what a training is about to see: labels, views and samples; train nothing.

python tools/show.py CONFIG

Writes labels.png, views.png and samples.png below WORK_DIR/show. A config without a
`distill` section has samples alone; the labels of one with it must be selected.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and draw."""
    check_environment()
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.reports.show import show_training

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--num', type=int, default=8, help='labels, and samples of each kind'
    )
    arguments = parser.parse_args(argv)
    show_training(load_config(arguments), arguments.num)


if __name__ == '__main__':
    sys.exit(run(main))
