"""The cost of all rounds: hours of labeling and training, and disk for the stores."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdistill.config.recipe import Recipe
from mmdistill.config.text import write_config
from mmdistill.plans.text import format_duration, format_size
from mmdistill.stages.round_configs import Rounds


@dataclass(frozen=True)
class RoundCost:
    """Estimated cost of a round on this machine, with one process.

    Attributes:
        labeling: Seconds of its labeling.
        training: Seconds of the training of one student.
        num_bytes: Size of its label store.
    """

    labeling: float
    training: float
    num_bytes: float


def round_costs(
    recipe: Recipe, first: RoundCost, measure: Callable[[Recipe], RoundCost]
) -> list[RoundCost]:
    """Estimate the cost of each round.

    Rounds of equal settings cost the same, and are measured once.

    Args:
        recipe: A recipe with rounds.
        first: The cost of the first round.
        measure: Measures the cost of a round by its recipe; its teachers need not be
            trained.
    """
    costs, measured = [first], dict[str, RoundCost]()
    with tempfile.TemporaryDirectory() as folder:
        rounds = Rounds(recipe, Path(folder))
        numbers = range(1, rounds.options.number + 1)
        for number in numbers:
            write_config(rounds.config(number), rounds.recipe_file(number))
        for number in numbers[1:]:
            # What teaches is of the round before.
            key = repr([rounds.options.of_round(n) for n in (number - 1, number)])
            if key not in measured:
                measured[key] = measure(Recipe.of(rounds.config(number)))
            costs.append(measured[key])
    return costs


def round_rows(costs: Sequence[RoundCost], students: int) -> list[tuple[str, str]]:
    """Format the cost of all rounds as rows of a plan.

    Args:
        costs: The cost of each round.
        students: Students of a round.

    >>> for row in round_rows([RoundCost(60, 600, 2e6), RoundCost(80, 600, 2e6)], 2):
    ...     print(*row)
    rounds 2 with 2 students each: 4 trainings, 2 label stores
    all labeling about 2 min: 60 s, 80 s
    all training about 40 min: 20 min, 20 min
    all stores about 4 MB
    all rounds about 42 min on this machine with one process
    """
    labeling = [cost.labeling for cost in costs]
    training = [cost.training * students for cost in costs]
    size = sum(cost.num_bytes for cost in costs)
    plural = 's' if students > 1 else ''
    each = ', '.join
    return [
        (
            'rounds',
            f'{len(costs)} with {students} student{plural} each: '
            f'{len(costs) * students} trainings, {len(costs)} label stores',
        ),
        (
            'all labeling',
            f'about {format_duration(sum(labeling))}: '
            f'{each(map(format_duration, labeling))}',
        ),
        (
            'all training',
            f'about {format_duration(sum(training))}: '
            f'{each(map(format_duration, training))}',
        ),
        ('all stores', f'about {format_size(size)}'),
        (
            'all rounds',
            f'about {format_duration(sum(labeling) + sum(training))} on this machine '
            'with one process',
        ),
    ]
