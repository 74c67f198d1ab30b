"""Select pseudo-labels of a finished label store again, without the teacher."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, select, print the table and export."""
    # Imports create a million objects and no garbage; collecting takes long.
    gc.disable()
    check_environment(network=False)
    from mmdistill import stages
    from mmdistill.cli.arguments import (
        add_config_arguments,
        add_selection_arguments,
        changed_options,
        load_config,
    )
    from mmdistill.config.output_files import check_output
    from mmdistill.config.recipe import Recipe
    from mmdistill.selection.export import ExportOptions, rejected_path
    from mmdistill.selection.summary import selection_table

    gc.freeze()
    gc.enable()

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    add_selection_arguments(parser)
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='print what would be kept, write nothing',
    )
    _add_export_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.dry_run and arguments.export_coco:
        parser.error('--dry-run writes nothing, so there is nothing to --export-coco')
    config = load_config(arguments)
    if arguments.export_coco is not None:
        check_output('--export-coco', arguments.export_coco, config)
        if arguments.rejected:
            rejected = rejected_path(Path(arguments.export_coco))
            check_output('the rejected labels of --export-coco', rejected, config)
    recipe = Recipe.of(config)
    selection = stages.select(recipe, changed_options(arguments), arguments.dry_run)
    sys.stdout.write(selection_table(selection) + '\n')
    if arguments.export_coco:
        options = ExportOptions(
            rejected=arguments.rejected, most_disagreed=arguments.most_disagreed
        )
        stages.export_coco(recipe, arguments.export_coco, options)


def _add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--export-coco',
        metavar='FILE',
        help='also write the selected labels as COCO json; frames of videos and '
        'members of tars are written to a folder beside it, which the log names',
    )
    parser.add_argument(
        '--rejected',
        action='store_true',
        help='with --export-coco: the rejected candidates too, into a json of their '
        'own, FILE with .rejected before its ending',
    )
    parser.add_argument(
        '--most-disagreed',
        type=int,
        metavar='N',
        help='with --export-coco: only the N images whose views disagree most, the '
        'worst first, for manual correction',
    )


if __name__ == '__main__':
    sys.exit(run(main))
