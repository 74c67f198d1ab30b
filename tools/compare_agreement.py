"""Compare on how many images the views agree, a row for each label store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    check_environment(network=False)
    from mmdistill.reports.agreement import THRESHOLDS, compare_agreement

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'stores',
        nargs='+',
        metavar='STORE',
        help='folder of a finished label store; all of the same images and views',
    )
    parser.add_argument(
        '--thresholds',
        nargs='+',
        type=float,
        default=THRESHOLDS,
        help='agreement from which on the views count as agreeing, on the scale of OKS',
    )
    arguments = parser.parse_args(argv)
    sys.stdout.write(compare_agreement(arguments.stores, arguments.thresholds) + '\n')


if __name__ == '__main__':
    sys.exit(run(main))
