"""Results of a round: the figures of its labels and the metrics of its students."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from mmdistill.selection.round_changes import RoundLabels
from mmdistill.selection.threshold_groups import format_range
from mmdistill.utils.files import read_json
from mmdistill.utils.ledger import METRICS

HIGH_CHURN = 0.1
"""Share of moved keypoints from which on views that agree more are no good sign."""
OF_TRAINING = ('lr', 'loss')
"""Keys of a line of MMEngine's log that a validation does not have."""
OWN = ('mix/', 'count_matching/')
"""Beginnings of the names of what this package logs."""
OF_TIME = ('data_time', 'time', 'step', 'epoch', 'iter', 'memory')


@dataclass(frozen=True)
class RoundResult:
    """A round, as the ledger and the report have it.

    Attributes:
        round: Number of the round, from 1.
        labels: Figures of its labels.
        results: Metrics of each student by name, in the order of the seeds; empty
            where none is known.
        holdout: Metrics on the held-out images, likewise.
    """

    round: int
    labels: RoundLabels
    results: Mapping[str, Sequence[float]] = field(default_factory=dict)
    holdout: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The round as JSON values."""
        return dict(
            round=self.round,
            labels=asdict(self.labels),
            results={name: [*values] for name, values in self.results.items()},
            holdout={name: [*values] for name, values in self.holdout.items()},
        )

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> RoundResult:
        """Read a round of the ledger.

        Args:
            content: Values as `as_json` gives them.
        """
        labels = dict(content['labels'])
        labels['thresholds'] = tuple(labels['thresholds'])
        return RoundResult(
            content['round'],
            RoundLabels(**labels),
            content['results'],
            content['holdout'],
        )


def student_metrics(folder: Path) -> dict[str, float]:
    """Read the metrics of a student: of its test, else of its last validation.

    Args:
        folder: Its work folder; ``metrics.json`` is what ``tools/test.py --out``
            writes.

    Returns:
        The finite metrics by name; empty where there are none.

    Raises:
        UserError: If ``metrics.json`` is not JSON.
    """
    tested = folder / METRICS
    if tested.is_file():
        return _finite(read_json(tested, 'the metrics file'))
    validations = [line for path in _logs(folder) for line in _validations(path)]
    return _finite(validations[-1]) if validations else {}


def by_metric(students: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Collect the metrics that all students of a round have.

    Args:
        students: Metrics of each student.

    >>> by_metric([dict(AP=0.5, AR=0.625), dict(AP=0.25)])
    {'AP': [0.5, 0.25]}
    """
    names = students[0] if students else ()
    return {
        name: [student[name] for student in students]
        for name in names
        if all(name in student for student in students)
    }


def round_line(result: RoundResult, number: int) -> str:
    """Format a round as a line of the log.

    Args:
        result: The round.
        number: Rounds at most.
    """
    labels = result.labels
    words = [
        f'threshold {format_range(list(labels.thresholds), 3)}',
        f'{labels.kept} of {labels.candidates} candidates kept',
        f'mean score {labels.score:.3f}',
        f'agreement {labels.agreement:.3f}',
    ]
    if labels.moved is not None:
        words.append(f'{labels.moved:.1%} of the kept keypoints moved')
    words += [
        f'{name} {fmean(values):.4f}{where}'
        for metrics, where in ((result.results, ''), (result.holdout, ' on holdout'))
        for name, values in [*metrics.items()][:1]
    ]
    return f'round {result.round} of {number}: {", ".join(words)}'


def false_confidence(now: RoundResult, before: RoundResult | None) -> str:
    """Warn of views that agree more on labels that do not settle; else an empty text.

    Self-training raises agreement whether the labels are right or wrong.

    Args:
        now: This round.
        before: The one before; None in the first.
    """
    moved = now.labels.moved
    if before is None or moved is None or moved < HIGH_CHURN:
        return ''
    if now.labels.agreement <= before.labels.agreement:
        return ''
    return (
        f'the views agree more than in the round before ({now.labels.agreement:.3f} '
        f'against {before.labels.agreement:.3f}) while {moved:.1%} of the kept '
        'keypoints still move: self-training raises agreement on wrong labels too, so '
        'look at some (tools/draw_labels.py) before you trust it'
    )


def _logs(folder: Path) -> list[Path]:
    """MMEngine's logs of a work folder, the oldest first."""
    return sorted(folder.glob('*/vis_data/scalars.json'))


def _validations(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a run that was killed left half of it
            continue
        if not any(key in line for key in OF_TRAINING):
            named = {
                key: value
                for key, value in line.items()
                if key not in OF_TIME and not key.startswith(OWN)
            }
            if named:
                yield named


def _finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and isfinite(value)
    }
