"""Join what the steps of gpu.sh left to one JSON object, also where a step failed."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

OUTCOMES = ('failure', 'error', 'skipped')
"""Elements of a test case that did not pass."""


def outcomes(report: Path) -> dict[str, str]:
    """Read the outcome of each test by its name; empty if no test came to an end.

    Args:
        report: JUnit's XML of pytest.
    """
    if not report.is_file():
        return {}
    cases = ElementTree.parse(report).getroot().iter('testcase')
    return {
        case.attrib['name']: next(
            (name for name in OUTCOMES if case.find(name) is not None), 'passed'
        )
        for case in cases
    }


def last_object(printed: Path) -> dict[str, Any]:
    """Read the JSON object in the last line of what a benchmark printed, if any."""
    lines = printed.read_text().splitlines() if printed.is_file() else []
    found: dict[str, Any] = (
        json.loads(lines[-1]) if lines and lines[-1].startswith('{') else {}
    )
    return found


def machine(device: str) -> dict[str, Any]:
    """Describe the device and the versions.

    Args:
        device: 'cuda' or 'cpu'.
    """
    name = torch.cuda.get_device_name() if device == 'cuda' else 'CPU'
    return dict(
        device=device, name=name, torch=torch.__version__, cuda=torch.version.cuda
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Read, write and print."""
    arguments = sys.argv[1:] if argv is None else argv
    work, device, tests, labeling, out = arguments
    summary = dict(
        machine=machine(device),
        tests=dict(exit_code=int(tests), outcomes=outcomes(Path(work, 'tests.xml'))),
        labeling=dict(
            exit_code=int(labeling), **last_object(Path(work, 'labeling.txt'))
        ),
    )
    Path(out).write_text(json.dumps(summary, indent=2) + '\n')
    print(json.dumps(summary))


if __name__ == '__main__':
    main()
