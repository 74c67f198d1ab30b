"""Write a report on the labels of a store, as one HTML file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and write the page."""
    check_environment()
    from mmdistill.cli.arguments import load_config
    from mmdistill.config.output_files import check_output
    from mmdistill.reports.report import ReportOptions, report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('store', help='folder of a finished label store')
    parser.add_argument('--out', help='the page; by default STORE/report.html')
    parser.add_argument(
        '--config',
        help='the config of the store; adds the statistics of the labeled set, and '
        'draws skeletons as defined by its test set',
    )
    parser.add_argument(
        '--img-root', type=Path, help='folder of the images, if it was moved'
    )
    parser.add_argument('--num', type=int, default=12, help='labels in each gallery')
    parser.add_argument(
        '--results',
        nargs='+',
        default=[],
        metavar='NAME=FILE[,FILE...]',
        help='metrics of trained models as tools/test.py --out writes them, several '
        'files one a seed; e.g. teacher=t.json baseline=b.json student=s.json',
    )
    parser.set_defaults(cfg_options={}, work_dir=None, launcher='none', local_rank=0)
    arguments = parser.parse_args(argv)
    options = ReportOptions(
        num=arguments.num, img_root=arguments.img_root, results=arguments.results
    )
    config = load_config(arguments) if arguments.config else None
    out = Path(arguments.out or Path(arguments.store, 'report.html'))
    check_output('--out', out, config)
    report(arguments.store, out, options, config)


if __name__ == '__main__':
    sys.exit(run(main))
