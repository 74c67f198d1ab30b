"""Write the true boxes of a COCO json as detections, for trials without a detector."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and write the detections.

    Args:
        argv: Arguments without the program's name; None for `sys.argv`.
    """
    check_environment()
    from mmdistill.config.output_files import check_output
    from mmdistill.datasets.boxes import true_boxes
    from mmdistill.utils.files import write_json

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('ann_file', help='COCO json with annotations')
    parser.add_argument('out', help="the json to write, in MMPose's bbox_file form")
    arguments = parser.parse_args(argv)
    check_output('out', arguments.out, inputs={'ann_file': arguments.ann_file})
    write_json(Path(arguments.out), true_boxes(Path(arguments.ann_file)))


if __name__ == '__main__':
    sys.exit(run(main))
