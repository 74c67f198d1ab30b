"""Write a recipe for a labeled set and unlabeled images: configs with their reasons.

python tools/new_recipe.py mice --labeled labels.json --images frames/ --unlabeled a.mp4

Looks at the data and the machine, and trains nothing. Ends with the commands to type.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run

if TYPE_CHECKING:
    from mmdistill.recipes import RecipeRequest


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, show what was found and write the recipe.

    Returns:
        1 if the pairs of left and right were not confirmed.
    """
    check_environment()
    from mmdistill.recipes import make_recipe, write_recipe

    arguments = _parser().parse_args(argv)
    recipe = make_recipe(_request(arguments))
    _show(recipe.notes)
    _show([f'caution: {sentence}' for sentence in recipe.cautions])
    sys.stdout.write(
        'left and right (if wrong: --pairs LEFT:RIGHT …):\n'
        f'{recipe.keypoints.pairs_table}\n'
    )
    if not (arguments.yes or _confirmed()):
        sys.stdout.write(
            'nothing is written; name the pairs with --pairs LEFT:RIGHT …\n'
        )
        return 1
    write_recipe(recipe)
    listed = ', '.join(recipe.files)
    sys.stdout.write(f'\nwrote {recipe.folder}/: {listed}\n\nnow type:\n')
    _show(recipe.commands)
    student = shlex.quote(f'{recipe.folder.as_posix()}/student.py')
    _show(
        [
            '\nor all of it, and whether the student is better, in one command:',
            f'python tools/distill.py {student}',
        ]
    )
    return 0


def _show(lines: Sequence[str]) -> None:
    sys.stdout.write(''.join(f'{line}\n' for line in lines))


def _confirmed() -> bool:
    """Ask on a terminal whether the pairs are right; elsewhere they are only shown."""
    if not sys.stdin.isatty():
        return True
    return input('Are these the pairs? [Y/n] ').strip().casefold() in ('', 'y', 'yes')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', help='name of the recipe')
    _add_data(parser.add_argument_group('data'))
    _add_boxes(parser.add_argument_group('boxes of the unlabeled images'))
    _add_settings(parser.add_argument_group('settings, instead of recommended ones'))
    parser.add_argument('--out', type=Path, help='folder; else configs/distill/NAME')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder of checkpoints and labels; else work_dirs/NAME',
    )
    parser.add_argument('--yes', action='store_true', help='do not ask for the pairs')
    return parser


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--labeled', type=Path, required=True, help='COCO json of the labeled images'
    )
    group.add_argument('--images', type=Path, help='their folder; else looked for')
    group.add_argument(
        '--unlabeled',
        nargs='+',
        required=True,
        help='folders, videos, COCO jsons, tars, lists or patterns',
    )
    group.add_argument(
        '--unlabeled-images', type=Path, help='folder of the images of jsons and lists'
    )
    group.add_argument('--val', type=Path, help='COCO json; else a part is split off')
    group.add_argument('--val-images', type=Path, help='its folder; else --images')
    group.add_argument(
        '--val-share', type=float, default=0.2, help='images that are split off'
    )
    group.add_argument(
        '--val-by',
        metavar='FIELD',
        help="what stays together: a field of each image, 'folder' or 'image'",
    )
    group.add_argument('--seed', type=int, default=0, help='of split and trainings')
    group.add_argument(
        '--truth', type=Path, help='COCO json of the unlabeled images, for upper bounds'
    )
    group.add_argument('--truth-images', type=Path, help='its folder')
    group.add_argument(
        '--keypoints', nargs='+', metavar='NAME', help='names, if the json has none'
    )
    group.add_argument(
        '--pairs',
        nargs='+',
        type=_pair,
        metavar='LEFT:RIGHT',
        help='left and right keypoints, if their names do not say so',
    )


def _add_boxes(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--boxes', type=Path, help="detections, MMPose's bbox_file")
    group.add_argument('--detector', help='config of MMDetection, as mmdet::…')
    group.add_argument('--detector-checkpoint', help='its weights')
    group.add_argument(
        '--follow', action='store_true', help='a single animal, frame by frame'
    )


def _add_settings(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--model', help='mmpose::…, a file, or efficientnet_lite')
    group.add_argument('--weights', type=Path, help='checkpoint of its backbone')
    group.add_argument(
        '--teacher-model', help="mmpose::… or a file; 'same' for the student's"
    )
    group.add_argument('--input-size', type=int, nargs=2, metavar=('WIDTH', 'HEIGHT'))
    group.add_argument('--batch-size', type=int)
    group.add_argument('--iterations', type=int)
    group.add_argument('--lr', type=float)
    group.add_argument('--scales', type=float, nargs='+', help='of the views')
    group.add_argument('--rotations', type=float, nargs='*', help='of the views')
    group.add_argument(
        '--flip',
        action=argparse.BooleanOptionalAction,
        default=None,
        help='mirror images and views',
    )
    group.add_argument('--labeled-share', type=float, help='of each batch')
    group.add_argument('--every', type=int, help='step in frames of videos')


def _pair(text: str) -> tuple[str, str]:
    left, separator, right = text.partition(':')
    if not (separator and left and right):
        raise argparse.ArgumentTypeError(f'must be LEFT:RIGHT, got {text!r}')
    return left, right


def _request(arguments: argparse.Namespace) -> RecipeRequest:
    from mmdistill.recipes import Overrides, RecipeRequest

    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(arguments).items()
    }
    stated = Overrides(**{each.name: values[each.name] for each in fields(Overrides)})
    names = [each.name for each in fields(RecipeRequest) if each.name in values]
    return RecipeRequest(**{name: values[name] for name in names}, overrides=stated)


if __name__ == '__main__':
    sys.exit(run(main))
