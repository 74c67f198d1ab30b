"""The verdict: is the student better than the models that it is compared with?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.bootstrap import Interval, paired_interval
from mmdistill.pipeline.evaluation import ImageResults
from mmdistill.utils.logging import format_table

FEWEST_IMAGES = 10
"""Images below which an interval of drawn images says little."""
WORDS = {1: 'better', 0: 'neither better nor worse', -1: 'worse'}


@dataclass(frozen=True)
class Comparison:
    """A model against another on the same images.

    Attributes:
        other: Name of the other model.
        intervals: Difference by the name of the metric, the one that decides first;
            positive where the first model is better.
        is_goal: Whether the first one should be better: a larger teacher may stay
            ahead of its student.
    """

    other: str
    intervals: Mapping[str, Interval]
    is_goal: bool = True

    @property
    def decisive(self) -> Interval:
        """The difference that decides."""
        return next(iter(self.intervals.values()))


@dataclass(frozen=True)
class Verdict:
    """A model compared with others.

    Attributes:
        name: The model.
        images: Number of images.
        means: Mean over the images by metric, for each model.
        comparisons: The others, in their order.
    """

    name: str
    images: int
    means: Mapping[str, Mapping[str, float]]
    comparisons: tuple[Comparison, ...]

    @property
    def enough(self) -> bool:
        """Whether there are enough images to tell anything."""
        return self.images >= FEWEST_IMAGES

    @property
    def goals(self) -> list[Comparison]:
        """The comparisons with what the model should be better than."""
        return [each for each in self.comparisons if each.is_goal]

    @property
    def better(self) -> bool:
        """Whether the model is better than all that it should be better than."""
        signs = [each.decisive.sign for each in self.goals]
        return self.enough and bool(signs) and min(signs) > 0

    def images_to_tell(self) -> int | None:
        """Number of images on which an undecided difference would be told.

        The width of an interval falls with the square root of the images; None where
        nothing is undecided, or no difference was seen.
        """
        needed = [
            ceil(self.images * (half / abs(interval.difference)) ** 2)
            for interval in (each.decisive for each in self.goals)
            for half in [(interval.high - interval.low) / 2]
            if interval.sign == 0 and interval.difference
        ]
        return max(needed, default=None)


def compare_models(
    results: Mapping[str, ImageResults], larger: Collection[str] = ()
) -> Verdict:
    """Compare the first model with each of the others, image by image.

    Args:
        results: Results by the model's name, the judged one first.
        larger: Names of those that may stay ahead.

    Raises:
        UserError: If there is one model alone, or they were tested on other images.
    """
    (name, judged), *others = results.items()
    if not others:
        raise ConfigError(
            f'there is nothing to compare {name} with; name another model'
        )
    for other, result in others:
        if result.images != judged.images or result.instances != judged.instances:
            raise DataError(
                f'{name} and {other} were tested on other instances '
                f'({judged.instances} on {len(judged.images)} images, '
                f'{result.instances} on {len(result.images)}); test both on the same '
                'set'
            )
    comparisons = tuple(
        Comparison(
            other,
            {
                metric: paired_interval(judged.values[metric], values)
                for metric, values in result.values.items()
            },
            other not in larger,
        )
        for other, result in others
    )
    means = {
        model: {
            metric: float(np.mean(values)) for metric, values in each.values.items()
        }
        for model, each in results.items()
    }
    return Verdict(name, len(judged.images), means, comparisons)


def compare_files(sources: Sequence[str]) -> str:
    """Compare the model of the first file with those of the others.

    Args:
        sources: `name=file`, each as `tools/test.py --per-image` writes it.

    Returns:
        The table and the sentence.

    Raises:
        UserError: If a source has another form, or the files are not comparable.
    """
    results: dict[str, ImageResults] = {}
    for source in sources:
        name, _, file = source.partition('=')
        if not name or not file or name in results:
            raise ConfigError(
                f'with --per-image a row must be name=file.json, each name once, got '
                f'{source!r}'
            )
        results[name] = ImageResults.read(Path(file))
    verdict = compare_models(results)
    return f'{verdict_table(verdict)}\n\n{verdict_sentence(verdict, "tested")}'


def verdict_table(
    verdict: Verdict, metrics: Mapping[str, Mapping[str, float]] | None = None
) -> str:
    """Format the means of all models, and the differences with their intervals.

    Args:
        verdict: The comparison.
        metrics: Further metrics of each model, without an interval.

    Returns:
        The table, without a line break at its end.
    """
    metrics = metrics or {}
    names = [*verdict.means[verdict.name]]
    further = [
        metric
        for metric in metrics.get(verdict.name, {})
        if all(metric in metrics.get(model, {}) for model in verdict.means)
    ]
    others = [each.other for each in verdict.comparisons]
    rows = [['', *names, *further]]
    for model in (*others, verdict.name):
        cells = [f'{verdict.means[model][metric]:.4f}' for metric in names]
        cells += [f'{metrics[model][metric]:.4f}' for metric in further]
        rows.append([model, *cells])
    for each in verdict.comparisons:
        cells = [_in_brackets(each.intervals[metric]) for metric in names]
        rows.append([f'{verdict.name} - {each.other}', *cells, *['' for _ in further]])
    return '\n'.join(line.rstrip() for line in format_table(rows).split('\n'))


def verdict_sentence(verdict: Verdict, set_name: str = 'validation') -> str:
    """Say whether the model is better than the others.

    Args:
        verdict: The comparison.
        set_name: The set of the images.

    >>> interval = Interval(0.0625, low=0.03125, high=0.125)
    >>> means = {'student': {'OKS': 0.75}, 'teacher': {'OKS': 0.6875}}
    >>> comparison = Comparison('teacher', {'OKS': interval})
    >>> print(verdict_sentence(Verdict('student', 50, means, (comparison,))))
    The student is better than the teacher on the 50 validation images: its mean OKS \
is 0.750, and +0.0625 [+0.0312, +0.1250] against the teacher (95 % of a paired \
bootstrap over images).
    """
    others = [each.other for each in verdict.comparisons]
    if not verdict.enough:
        return (
            f'It cannot be told whether the {verdict.name} is better than '
            f'{_listed(others)}: there are {verdict.images} {set_name} images, and '
            f'{FEWEST_IMAGES} are the least.'
        )
    by_sign: dict[int, list[str]] = {}
    for each in verdict.comparisons:
        by_sign.setdefault(each.decisive.sign, []).append(each.other)
    claims = [
        f'{WORDS[sign]} than {_listed(by_sign[sign])}'
        for sign in (1, 0, -1)
        if sign in by_sign
    ]
    differences = ' and '.join(
        f'{_in_brackets(each.decisive)} against the {each.other}'
        for each in verdict.comparisons
    )
    metric, mean = next(iter(verdict.means[verdict.name].items()))
    larger = [each.other for each in verdict.comparisons if not each.is_goal]
    goals = [each.other for each in verdict.goals]
    ahead = ''
    if larger and goals:
        verb = 'has' if len(larger) == 1 else 'have'
        ahead = (
            f' {_listed(larger).capitalize()} {verb} a model of another config, so '
            f'{_listed(goals)} decides.'
        )
    return (
        f'The {verdict.name} is {", ".join(claims)} on the {verdict.images} {set_name} '
        f'images: its mean {metric} is {mean:.3f}, and {differences} (95 % of a paired '
        f'bootstrap over images).{ahead}'
    )


def _in_brackets(interval: Interval) -> str:
    low, high = interval.low, interval.high
    return f'{interval.difference:+.4f} [{low:+.4f}, {high:+.4f}]'


def _listed(names: Sequence[str]) -> str:
    return ' and '.join(f'the {name}' for name in names)
