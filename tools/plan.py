"""Plan a distillation: what it will take and what is missing, before it starts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and print the plan.

    Returns:
        1 if something is missing.
    """
    check_environment()
    from mmdistill.cli.arguments import add_config_arguments, load_config
    from mmdistill.plans import make_plan

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    plan = make_plan(load_config(parser.parse_args(argv)))
    lines = [f'{name:14} {text}' for name, text in plan.rows]
    lines += [f'{"missing":14} {text}' for text in plan.missing]
    sys.stdout.write('\n'.join([*lines, '']))
    return 1 if plan.missing else 0


if __name__ == '__main__':
    sys.exit(run(main))
