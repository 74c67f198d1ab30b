"""Export a trained model to ONNX, and check it against PyTorch with onnxruntime.

python tools/export_onnx.py RECIPE CHECKPOINT

The file takes crops (BGR, 0 to 255, any number of them) and gives out what the model's
head does. It is written only if outputs and decoded keypoints are the model's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and export."""
    check_environment()
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.config.output_files import check_output
    from mmdistill.stages.onnx_export import export_onnx, import_packages

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', metavar='FILE', type=Path, help='by default CHECKPOINT as .onnx'
    )
    arguments = parser.parse_args(argv)
    import_packages()
    out = arguments.out or Path(arguments.checkpoint).with_suffix('.onnx')
    config = load_config(arguments)
    inputs = {'the checkpoint': arguments.checkpoint}
    check_output('--out', out, config, inputs)
    export_onnx(config, arguments.checkpoint, out)


if __name__ == '__main__':
    sys.exit(run(main))
