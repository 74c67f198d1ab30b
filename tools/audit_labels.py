"""Audit the teacher's labels on labeled images that it was not trained on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import AUDIT_ADVICE, run
from mmdistill.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, audit, print and draw."""
    check_environment()
    from mmdistill.audits import audit, audit_folds, audited_set
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.config.recipe import Recipe
    from mmdistill.reports.audit_report import draw_audit, format_audit

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    _add_audit_arguments(parser)
    arguments = parser.parse_args(argv)
    recipe = Recipe.of(load_config(arguments))
    paths = (arguments.ann_file, arguments.img, arguments.bbox_file)
    if arguments.folds is None:
        result = audit(recipe, audited_set(recipe, *paths))
    elif any(paths):
        raise ConfigError(
            '--folds audits the labeled set of the config in its true boxes, without '
            f'--ann-file, --img and --bbox-file; got {" ".join(filter(None, paths))}'
        )
    else:
        result = audit_folds(recipe, arguments.folds, arguments.teacher_config)
    if result is not None:
        out = Path(arguments.out or Path(recipe.distill.store, 'audit.png'))
        draw_audit(result, out)
        print(f'{format_audit(result)}\n\npicture: {out}')


def _add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--ann-file',
        help='COCO json to audit; by default that of distill.audit or the val set',
    )
    parser.add_argument('--img', help='folder of its images')
    parser.add_argument(
        '--bbox-file',
        help="detections on its images, in MMPose's form; without any the true boxes",
    )
    parser.add_argument(
        '--folds',
        type=int,
        metavar='K',
        help='audit the labeled set instead: train K teachers, each without one '
        'K-th of it; takes K trainings',
    )
    parser.add_argument(
        '--teacher-config',
        metavar='FILE',
        help='with --folds: how a teacher is trained (distill.teacher.config)',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help="the picture, audit.png in the label store's folder by default",
    )


if __name__ == '__main__':
    sys.exit(run(main, worker_advice=AUDIT_ADVICE))
