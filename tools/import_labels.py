"""Convert labels of DeepLabCut, SLEAP, Label Studio, YOLO and others to COCO json."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and convert a project.

    Args:
        argv: Arguments without the program's name; None for `sys.argv`.
    """
    check_environment(network=False)
    from mmdistill.interchange import ImportOptions, import_labels

    arguments = _parser().parse_args(argv)
    names = [name.strip() for name in (arguments.keypoints or '').split(',')]
    options = ImportOptions(
        images=Path(arguments.images) if arguments.images else None,
        keypoints=tuple(filter(None, names)),
        category=arguments.category,
        predicted=arguments.predicted,
        skip_missing=arguments.skip_missing,
        margin=arguments.margin,
    )
    out = Path(arguments.out)
    project = import_labels(Path(arguments.project), out, options)
    sys.stdout.write(
        f'wrote {project.count} instances on {len(project.images)} images to {out}: '
        f'labeled.json, images/ and metainfo.py\n'
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'project',
        help='folder of a DeepLabCut project, its config.yaml or a table of it (csv, '
        'h5); a .slp file; the JSON of Label Studio; a COCO json; data.yaml of a YOLO '
        'data set; or anything else that sleap-io reads',
    )
    parser.add_argument('out', help='new folder: labeled.json, images/, metainfo.py')
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='folder of the images or videos where they are not in the project',
    )
    parser.add_argument(
        '--keypoints',
        metavar='A,B,…',
        help='names of the keypoints in the order to write; others are left out',
    )
    parser.add_argument('--category', default='', help='name of the one category')
    parser.add_argument(
        '--predicted',
        action='store_true',
        help='take predictions too that no person corrected',
    )
    parser.add_argument(
        '--skip-missing',
        action='store_true',
        help='leave out labels whose image does not exist',
    )
    parser.add_argument(
        '--margin',
        type=float,
        metavar='PIXELS',
        help='of boxes around the keypoints, where the tool has no boxes; by default a '
        'tenth of their longer side, at least a twentieth of the image',
    )
    return parser


if __name__ == '__main__':
    sys.exit(run(main))
