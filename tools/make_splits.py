"""Split a COCO json into labeled and unlabeled images.

python tools/make_splits.py ANN_FILE OUT co-35 --listed instances_val2014.json
python tools/make_splits.py ANN_FILE OUT first-1000 --first-instances 1000
python tools/make_splits.py ANN_FILE OUT semi-1-of-10 --percent 10 --fold 1
python tools/make_splits.py ANN_FILE OUT few --random 50 --by subject_id --seed 1
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and write the split."""
    check_environment()
    from mmdistill.config.output_files import check_output
    from mmdistill.datasets.splits import SUFFIXES, format_copies, write_split

    arguments = _parser().parse_args(argv)
    inputs = {'ann_file': arguments.ann_file, '--listed': arguments.listed}
    for suffix in SUFFIXES:
        file = arguments.out / f'{arguments.name}{suffix}.json'
        check_output('the output', file, inputs=inputs)
    manifest = write_split(
        arguments.ann_file,
        _rule_of(arguments),
        arguments.out,
        arguments.name,
        arguments.img,
        not arguments.no_content,
    )
    labeled, unlabeled = manifest['labeled'], manifest['unlabeled']
    sys.stdout.write(
        f'{manifest["rule"]}: {labeled["annotations"]} annotations on '
        f'{labeled["images"]} labeled images, {unlabeled["images"]} unlabeled ones, '
        f'in {arguments.out / arguments.name}*.json\n{format_copies(manifest)}\n'
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', type=Path, help='COCO json with annotations')
    parser.add_argument('out', type=Path, help='folder of the jsons to write')
    parser.add_argument('name', help='prefix of their names')
    rules = parser.add_mutually_exclusive_group(required=True)
    rules.add_argument(
        '--first-instances',
        type=int,
        metavar='N',
        help='the first N instances that MMPose trains on are labeled',
    )
    rules.add_argument(
        '--listed',
        type=Path,
        metavar='FILE',
        help='the images that are also in this COCO json are labeled',
    )
    rules.add_argument(
        '--random', type=int, metavar='N', help='N images, or subjects, are labeled'
    )
    rules.add_argument(
        '--percent',
        type=float,
        metavar='P',
        help="P %% of the images are labeled, those of SoftTeacher's lists",
    )
    parser.add_argument(
        '--fold', type=int, default=1, metavar='F', help='of --percent, from 1'
    )
    parser.add_argument(
        '--by',
        metavar='FIELD',
        help="with --random: draw subjects: a field of each image, or 'folder'",
    )
    parser.add_argument('--seed', type=int, default=0, help='of --random')
    parser.add_argument(
        '--img',
        type=Path,
        metavar='FOLDER',
        help='the images, to compare both sides by content; by default searched '
        'beside the json',
    )
    parser.add_argument(
        '--no-content', action='store_true', help='do not compare by content'
    )
    return parser


def _rule_of(arguments: argparse.Namespace) -> Callable[[dict], Any]:
    """Return the split rule that the arguments name."""
    from mmdistill.datasets import split_rules
    from mmdistill.datasets.sources.image_list import images_of_coco

    if arguments.first_instances is not None:
        return partial(split_rules.first_instances, count=arguments.first_instances)
    if arguments.listed:
        listed = images_of_coco(arguments.listed).ids or []
        return partial(split_rules.listed_images, listed=listed)
    if arguments.percent is not None:
        return partial(
            split_rules.percent_of_images,
            percent=arguments.percent,
            fold=arguments.fold,
        )
    return partial(
        split_rules.random_images,
        count=arguments.random,
        seed=arguments.seed,
        subject=arguments.by,
    )


if __name__ == '__main__':
    sys.exit(run(main))
