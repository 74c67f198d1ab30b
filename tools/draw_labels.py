"""Draw kept and rejected labels, with the counting curve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and draw."""
    check_environment()
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.config.output_files import check_output
    from mmdistill.reports.gallery import draw_labels

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('--out', required=True, help='the picture, e.g. labels.png')
    parser.add_argument('--num', type=int, default=8, help='labels of each kind')
    parser.add_argument(
        '--img-root', type=Path, help='folder of the images, if it was moved'
    )
    arguments = parser.parse_args(argv)
    config, out = load_config(arguments), Path(arguments.out)
    check_output('--out', out, config)
    draw_labels(config, out, arguments.num, arguments.img_root)


if __name__ == '__main__':
    sys.exit(run(main))
