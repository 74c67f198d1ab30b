"""Draw the toy data set of the demo."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmdistill.cli.main import run
from mmdistill.toy import write_toy_data


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and draw.

    Args:
        argv: Arguments without the program's name; None for `sys.argv`.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='the folder to make, e.g. data/toy')
    parser.add_argument('--labeled', type=int, default=25, help='images')
    parser.add_argument('--unlabeled', type=int, default=600, help='images')
    parser.add_argument('--val', type=int, default=200, help='images')
    parser.add_argument('--seed', type=int, default=0)
    options = vars(parser.parse_args(argv))
    drawn = write_toy_data(**options)
    print(f'{options["root"]}: {"drawn" if drawn else "already there, reused"}')


if __name__ == '__main__':
    raise SystemExit(run(main))
