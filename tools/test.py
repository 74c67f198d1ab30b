"""Evaluate a checkpoint, also with fused views (--tta)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import TEST_ADVICE, run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and evaluate."""
    check_environment()
    from mmdistill import stages
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.config.loops import check_test
    from mmdistill.config.output_files import check_output
    from mmdistill.stages.label_config import own_teacher_config, tta_config
    from mmdistill.utils.files import write_json

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoints',
        metavar='checkpoint',
        nargs='+',
        help='checkpoint file; with --tta several, whose outputs are fused',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="fuse the views of distill.views, or HeatmapFusionTTA's own",
    )
    _add_output_arguments(parser)
    arguments = parser.parse_args(argv)
    config = load_config(arguments)
    first, *others = arguments.checkpoints
    if others and not arguments.tta:
        parser.error(f'several checkpoints are fused with --tta, got {others} besides')
    config.load_from = first
    config = own_teacher_config(config, arguments.checkpoints)
    inputs = {f'the checkpoint {path}': path for path in arguments.checkpoints}
    for flag, file in (
        ('--out', arguments.out),
        ('--dump', arguments.dump),
        ('--per-image', arguments.per_image),
    ):
        if file is not None:
            check_output(flag, file, config, inputs)
    _add_writers(config, arguments)
    check_test(config)
    metrics = stages.test(tta_config(config, others) if arguments.tta else config)
    if arguments.out:
        # JSON has no NaN, which MMPose returns for an undefined metric.
        finite = {k: float(v) if isfinite(v) else None for k, v in metrics.items()}
        write_json(Path(arguments.out), finite)


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--out', metavar='FILE', help='write the metrics as json')
    parser.add_argument('--dump', metavar='FILE', help='write predictions as pickle')
    parser.add_argument(
        '--per-image',
        metavar='FILE',
        help='write the errors of each instance as json, by which '
        'tools/compare_results.py --per-image says whether a model is better',
    )


def _add_writers(config: Any, arguments: argparse.Namespace) -> None:
    """Add the evaluators that write files beside the metrics."""
    from mmdistill.stages.label_config import image_results

    writers = []
    if arguments.dump:
        writers.append(dict(type='DumpResults', out_file_path=arguments.dump))
    if arguments.per_image:
        file = arguments.per_image
        writers.append(image_results(config, file))
    if writers:
        config.test_evaluator = [*_as_list(config.get('test_evaluator')), *writers]


def _as_list(evaluator: object) -> list:
    if isinstance(evaluator, (list, tuple)):
        return list(evaluator)
    return [] if evaluator is None else [evaluator]


if __name__ == '__main__':
    sys.exit(run(main, worker_advice=TEST_ADVICE))
