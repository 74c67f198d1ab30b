"""Arguments of the command line that choose pseudo-labels."""

from __future__ import annotations

import argparse
from typing import Any

from mmdistill.functional.ranking import BY
from mmdistill.labels.selection_options import (
    CATEGORIES,
    KEYPOINT_RULES,
    OVER,
    PER,
)

CHOICES = {
    'over': (OVER, 'labelled images that count'),
    'per': (PER, 'whether each source has a threshold of its own'),
    'categories': (CATEGORIES, 'whether each category has one'),
    'by': (BY, "what is compared: the score, the views' agreement, or both ranks"),
}
NUMBERS = {
    'score_thr': 'keep what reaches at least this, instead of matching counts',
    'floor': 'the lowest threshold, whatever is matched',
    'cap': 'the highest one',
}


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an argument for each of `SelectionOptions`.

    Args:
        parser: The parser.
    """
    for name, (choices, text) in CHOICES.items():
        parser.add_argument(_flag(name), choices=choices, help=text)
    for name, text in NUMBERS.items():
        parser.add_argument(_flag(name), type=float, help=text)
    parser.add_argument(
        '--keypoint-thr',
        type=threshold,
        metavar=f'NUMBER|{"|".join(KEYPOINT_RULES)}',
        help='keypoint score above which a keypoint is visible to the student, or how '
        'to match it to the visible keypoints of labelled instances',
    )


def changed_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the arguments state of `SelectionOptions`, the others left out.

    Args:
        arguments: Parsed arguments of `add_selection_arguments`.
    """
    names = (*CHOICES, *NUMBERS, 'keypoint_thr')
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _flag(name: str) -> str:
    return f'--{name.replace("_", "-")}'


def threshold(text: str) -> float | str:
    """A number, or how to match one; the name stands in argparse's sentence."""
    return text if text in KEYPOINT_RULES else float(text)
