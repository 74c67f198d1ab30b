"""Choose pseudo-labels of a finished label store anew, without the teacher."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.command_line import run
from mmdistill.environment import check_environment


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, select and export."""
    check_environment()
    from mmdistill import stages
    from mmdistill.config_arguments import add_config_arguments, load_config
    from mmdistill.labels.coco import ExportOptions

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--score-thr',
        type=float,
        help='keep what scores at least this, instead of matching counts',
    )
    parser.add_argument(
        '--over',
        choices=('all', 'annotated'),
        help='labelled images that count',
    )
    parser.add_argument(
        '--keypoint-thr',
        type=float,
        help='keypoint score above which a keypoint is visible to the student',
    )
    parser.add_argument(
        '--export-coco',
        metavar='FILE',
        help='also write the selected labels as COCO json',
    )
    parser.add_argument(
        '--rejected',
        action='store_true',
        help='with --export-coco: the rejected candidates too, as ignored ones',
    )
    parser.add_argument(
        '--most-disagreed',
        type=int,
        metavar='N',
        help='with --export-coco: only the N images whose views disagree most, the '
        'worst first, to be corrected by hand',
    )
    arguments = parser.parse_args(argv)
    config = load_config(arguments)
    stages.select(config, arguments.score_thr, arguments.over, arguments.keypoint_thr)
    if arguments.export_coco:
        options = ExportOptions(
            rejected=arguments.rejected, most_disagreed=arguments.most_disagreed
        )
        stages.export_coco(config, arguments.export_coco, options)


if __name__ == '__main__':
    sys.exit(run(main))
