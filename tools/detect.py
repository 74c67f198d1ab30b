"""Detect boxes on the unlabeled images of a config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and detect."""
    check_environment()
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.config.output_files import check_output
    from mmdistill.config.recipe import Recipe
    from mmdistill.config.text import write_config
    from mmdistill.stages import detections
    from mmdistill.stages.detect_config import detect_config

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--write-config',
        metavar='FILE',
        help="write the stage's config for MMPose's or MMDetection's tools/test.py, "
        'detect nothing',
    )
    parser.add_argument(
        '--status',
        action='store_true',
        help='print what is done, missing and failed and who detects, detect nothing',
    )
    parser.add_argument(
        '--bbox-file',
        metavar='FILE',
        help="write the boxes as a json in MMPose's bbox_file form when complete",
    )
    arguments = parser.parse_args(argv)
    config = load_config(arguments)
    for flag, file in (
        ('--write-config', arguments.write_config),
        ('--bbox-file', arguments.bbox_file),
    ):
        if file is not None:
            check_output(flag, file, config)
    if arguments.status:
        sys.stdout.write('\n'.join([*detections.status(config), '']))
    elif arguments.write_config:
        write_config(detect_config(Recipe.of(config)), arguments.write_config)
    else:
        detections.detect(config)
        if arguments.bbox_file:
            detections.export_boxes(config, arguments.bbox_file)


if __name__ == '__main__':
    sys.exit(run(main))
