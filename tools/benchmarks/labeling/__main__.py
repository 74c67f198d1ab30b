"""Run the comparison with the tools' settings of threads, which torch reads on import.

The allocator stays as it is in a program of stock MMPose, or as the environment says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says.

    Args:
        argv: Arguments; those of the process by default.
    """
    from tools.benchmarks.labeling import comparison

    comparison.main(argv)


if __name__ == '__main__':
    sys.exit(run(main, keeps_memory=False))
