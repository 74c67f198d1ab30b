"""Print a table of the metrics that tools/test.py --out wrote."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    from mmdistill.reports.results_table import compare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'sources',
        nargs='+',
        metavar='NAME=FILE[,FILE...]',
        help='a row; several files, one a seed, give mean ± standard deviation',
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        help='columns, e.g. coco/AP; all of the first file by default',
    )
    arguments = parser.parse_args(argv)
    print(compare(arguments.sources, arguments.metrics))


if __name__ == '__main__':
    sys.exit(run(main))
