"""Convert a COCO json with keypoints to the form of a labeling or training tool."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and convert a json.

    Args:
        argv: Arguments without the program's name; None for `sys.argv`.
    """
    check_environment(network=False)
    from mmdistill.interchange import TOOLS, export_labels

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'labels',
        help='COCO json: a labeled set, or what select_labels.py --export-coco wrote',
    )
    parser.add_argument('out', help='new folder for the labels and their images')
    parser.add_argument('--to', required=True, choices=TOOLS, help='the tool')
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        required=True,
        help='folder that the file names of the json are relative to',
    )
    parser.add_argument(
        '--skip-missing',
        action='store_true',
        help='leave out labels whose image does not exist',
    )
    arguments = parser.parse_args(argv)
    out = Path(arguments.out)
    project = export_labels(
        Path(arguments.labels),
        out,
        arguments.to,
        Path(arguments.images),
        arguments.skip_missing,
    )
    sys.stdout.write(
        f'wrote {project.count} instances on {len(project.images)} images to {out}\n'
    )


if __name__ == '__main__':
    sys.exit(run(main))
