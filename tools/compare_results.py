"""Print a table of the metrics that tools/test.py --out wrote.

python tools/compare_results.py baseline=b.json student=s.json
python tools/compare_results.py --per-image student=s_images.json baseline=b_images.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    parser.add_argument(
        '--per-image',
        action='store_true',
        help='the files are those of tools/test.py --per-image, one a row: say whether '
        'the first model is better than the others, with bootstrap intervals',
    )
    arguments = parser.parse_args(argv)
    if not arguments.per_image:
        from mmdistill.reports.results_table import compare

        print(compare(arguments.sources, arguments.metrics))
        return
    if arguments.metrics:
        parser.error('--metrics is not for --per-image, which has OKS and PCK')
    from mmdistill.cli.environment import check_environment

    check_environment(network=False)
    from mmdistill.pipeline.verdict import compare_files

    print(compare_files(arguments.sources))


if __name__ == '__main__':
    sys.exit(run(main))
