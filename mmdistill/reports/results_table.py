"""Table of metrics, a row per model, over one or several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdistill.errors import ConfigError, DataError
from mmdistill.utils.files import read_json
from mmdistill.utils.logging import format_table

Run = dict[str, float]


@dataclass(frozen=True)
class Results:
    """Metrics of several models, over one or several seeds each.

    Attributes:
        metrics: Names of the metrics.
        rows: Values of each seed, by model, in the order of `metrics`.
    """

    metrics: list[str]
    rows: dict[str, list[list[float]]]


def compare(sources: Sequence[str], metrics: Sequence[str] | None = None) -> str:
    """Format a table of the metrics of several models.

    A model with several files, one per seed, is shown by the mean and the sample
    standard deviation.

    Args:
        sources: `name=a.json` or `name=a.json,b.json,...`, one per row; each file as
            tools/test.py writes it.
        metrics: Metrics to show, one per column; all of the first file when None.

    Returns:
        The table, aligned, without a line break at its end.

    Raises:
        UserError: If a source has another form, a file is missing or is not a mapping
            of numbers, or lacks a metric.
    """
    results = read_results(sources, metrics)
    cells = [['', *results.metrics]]
    for name, values in results.rows.items():
        cells.append([name, *map(mean_and_deviation, values)])
    return format_table(cells)


def read_results(
    sources: Sequence[str], metrics: Sequence[str] | None = None
) -> Results:
    """Read the metrics of several models.

    Args:
        sources: As `compare` takes them.
        metrics: Metrics to read; all of the first file when None.

    Raises:
        UserError: As `compare` does.
    """
    rows = [_read_source(source) for source in sources]
    if not rows:
        raise ConfigError('a table needs at least one name=metrics.json, got none')
    columns = list(metrics or rows[0][1][0][1])
    values = {
        name: [_values(runs, metric) for metric in columns] for name, runs in rows
    }
    if len(values) < len(rows):
        raise ConfigError('two rows of a table must not have the same name')
    return Results(columns, values)


def mean_and_deviation(values: Sequence[float]) -> str:
    """Format a metric by three decimals, several seeds as mean ± sample deviation.

    Args:
        values: The metric of each seed, at least one; a dash is shown if one is not
            finite.
    """
    if not all(map(math.isfinite, values)):
        return '-'
    mean = f'{statistics.fmean(values):.3f}'
    return f'{mean} ± {statistics.stdev(values):.3f}' if len(values) > 1 else mean


def _read_source(source: str) -> tuple[str, list[tuple[Path, Run]]]:
    name, _, files = source.partition('=')
    paths = [Path(file) for file in files.split(',') if file]
    if not name or not paths:
        raise ConfigError(
            f'a row must be name=metrics.json or name=a.json,b.json, got {source!r}'
        )
    return name, [(path, _read_run(path)) for path in paths]


def _read_run(path: Path) -> Run:
    content: Any = read_json(path, 'the metrics file')
    if not isinstance(content, dict) or not content:
        raise DataError(f'the metrics file {path} must map names to numbers')
    for name, value in content.items():
        if value is not None and not isinstance(value, (int, float)):
            raise DataError(
                f'{name} of the metrics file {path} must be a number, got {value!r}'
            )
    return {name: _finite_or_nan(value) for name, value in content.items()}


def _finite_or_nan(value: float | None) -> float:
    """Convert a metric to float; null, infinity and overflow become NaN."""
    try:
        number = math.nan if value is None else float(value)
    except OverflowError:  # an integer beyond float
        return math.nan
    return number if math.isfinite(number) else math.nan


def _values(runs: Sequence[tuple[Path, Run]], metric: str) -> list[float]:
    for path, run in runs:
        if metric not in run:
            raise DataError(
                f'the metrics file {path} has no {metric}, only {", ".join(run)}'
            )
    return [run[metric] for _, run in runs]
