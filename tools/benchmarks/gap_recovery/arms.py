"""Arms of the comparison, as data: what students differ in, and what from.

A student's arm is full fusion, the paper's method, and any number of ingredients:
`noise`, or `noise+finish`. An ingredient is as the recipe states it, or has its
defaults where the recipe does not state it; one that is not in an arm is off.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mmdistill.errors import ConfigError

ONE_SCALE = 'distill.views.scales=[1.0]'
OF_CROPS = ('distill.views.aspect_ratios=[]', 'distill.views.rotations=[]')
"""Settings of views that detectors, which see whole images, do not have."""
FLIP = {'single_view': False, 'flip': True}
"""Whether crops of one scale are mirrored, too, by the arm that has no others."""


@dataclass(frozen=True)
class Ingredient:
    """An addition to the paper's method.

    Attributes:
        key: The setting of a recipe that holds it.
        on: What turns it on where the recipe does not state it.
        off: What turns it off where the recipe states it.
        of_labels: Whether other labels come of it, else another training on the same.
        for_all: Whether a supervised training can have it as well.
    """

    key: str
    on: str = ''
    off: str = ''
    of_labels: bool = False
    for_all: bool = False


def _section(name: str, first: str, for_all: bool = False) -> Ingredient:
    """An optional section: with nothing stated in it, its defaults hold."""
    key = f'distill.{name}'
    return Ingredient(key, f'{key}.{first}=None', f'{key}=None', for_all=for_all)


RESOLUTIONS = 'distill.views.resolutions'
INGREDIENTS = {
    # The plan names teachers one by one, so there is nothing to turn on or off.
    'large_teacher': Ingredient('distill.teacher.config', of_labels=True),
    'two_teachers': Ingredient('distill.teacher', of_labels=True),
    'resolutions': Ingredient(
        RESOLUTIONS,
        f'{RESOLUTIONS}=[1.0,1.33]',
        f'{RESOLUTIONS}=[1.0]',
        of_labels=True,
    ),
    'weights': _section('weights', 'criterion'),
    'noise': _section('noise', 'sources', for_all=True),
    'finish': _section('finish', 'length', for_all=True),
    'ema': _section('ema', 'momentum', for_all=True),
    'rounds': _section('rounds', 'number'),
}
"""The ingredients, in the order in which they are named and applied."""
EVERYTHING = 'all'
"""Short for all ingredients: the recipe's own ones or, where it has none, all known."""


@dataclass(frozen=True)
class Arm:
    """A student.

    Attributes:
        name: Its name, also of its runs.
        title: What it is called in tables.
        before: Names of the arms that it is compared with.
        ingredients: Keys of `INGREDIENTS`, in their order.
        views: The views of its labels: 'fusion' for all, or a key of `FLIP`.
        options: Settings of its own, each ``key=value``.
    """

    name: str
    title: str
    before: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    views: str = 'fusion'
    options: tuple[str, ...] = ()

    @property
    def labels(self) -> str:
        """Name of its labels, which arms with the same views and teachers share."""
        added = [name for name in self.ingredients if INGREDIENTS[name].of_labels]
        return f'labels_{joined(self.views, added)}'


PAPER = (
    Arm(
        'fusion',
        'student, full fusion',
        ('best_supervised', 'single_view', 'flip', 'all_candidates'),
    ),
    Arm('single_view', 'student, a single view', views='single_view'),
    Arm(
        'all_candidates',
        'student, full fusion, no count matching',
        options=('distill.mixing.score_thr=0.0',),
    ),
    Arm('flip', 'student, flip only', ('single_view',), views='flip'),
)
"""The paper's method, and what is left without a part of it."""
LARGE_TEACHER = 'large_teacher'
"""Name of the ingredient, and of the arm that shows the teacher itself."""
UPPER_BOUND = 'upper_bound'
"""Name of the arm with true labels, which is no student."""


def joined(name: str, ingredients: Sequence[str]) -> str:
    """Name something with ingredients.

    >>> joined('fusion', ['noise', 'finish'])
    'fusion+noise+finish'
    """
    return '+'.join([name, *ingredients])


def default_arms(stated: Sequence[str], of_boxes: bool = False) -> list[str]:
    """List the arms of a comparison in order of importance.

    Args:
        stated: Ingredients of the recipe; without any, all known ones are compared.
        of_boxes: Whether it distills a detector, of which only those are compared that
            it states: most are about poses.

    >>> default_arms([], of_boxes=True)
    ['fusion', 'upper_bound', 'single_view', 'all_candidates', 'flip']
    """
    ingredients = stated or (() if of_boxes else tuple(INGREDIENTS))
    rest = [arm.name for arm in PAPER if arm.name != 'fusion']
    known = [name for name in ingredients if stated or name != LARGE_TEACHER]
    together = [EVERYTHING] if known else []
    return ['fusion', *together, UPPER_BOUND, *known, *rest]


def view_options(views: str, of_boxes: bool = False) -> list[str]:
    """Return settings of the views of labels, each ``key=value``.

    Args:
        views: The views of an arm.
        of_boxes: Whether its teacher is a detector.

    >>> view_options('flip', of_boxes=True)
    ['distill.views.scales=[1.0]', 'distill.views.flip=True']
    """
    if views not in FLIP:
        return []
    of_crops = () if of_boxes else OF_CROPS
    return [ONE_SCALE, *of_crops, f'distill.views.flip={FLIP[views]}']


def everything(stated: Sequence[str]) -> str:
    """Return the name of the arm with all ingredients.

    Args:
        stated: Ingredients of the recipe.
    """
    known = tuple(name for name in INGREDIENTS if name != LARGE_TEACHER)
    return '+'.join(stated or known)


def students(names: Sequence[str], stated: Sequence[str]) -> list[Arm]:
    """List the students among some arms, each once.

    Args:
        names: Names of arms, the upper bound's among them or not.
        stated: Ingredients of the recipe.

    Raises:
        ConfigError: If there is no such arm.
    """
    by_name = {arm.name: arm for arm in PAPER}
    arms: dict[str, Arm] = {}
    for name in names:
        if name == UPPER_BOUND:
            continue
        if name == EVERYTHING:
            name = everything(stated)
        arm = by_name.get(name) or _with_ingredients(name)
        arms[arm.name] = arm
    return [*arms.values()]


def shared_ingredients(arms: Sequence[Arm]) -> tuple[str, ...]:
    """Return what supervised trainings need to be compared fairly with students.

    Args:
        arms: The students.
    """
    present = {name for arm in arms for name in arm.ingredients}
    return tuple(n for n, each in INGREDIENTS.items() if each.for_all and n in present)


def ingredient_options(
    present: Collection[str], stated: Collection[str], of_labels: bool
) -> list[str]:
    """Return settings that turn ingredients on and off, each ``key=value``.

    Args:
        present: Ingredients of the arm.
        stated: Ingredients of the recipe.
        of_labels: Whether those of labels are asked for, else those of trainings.
    """
    options = []
    for name, each in INGREDIENTS.items():
        if each.of_labels == of_labels and (name in present) != (name in stated):
            options.append(each.on if name in present else each.off)
    return [*filter(None, options)]


def fitting_options(present: Collection[str], options: Sequence[str]) -> list[str]:
    """Leave out settings of ingredients that an arm does not have.

    Args:
        present: Ingredients of the arm.
        options: Settings, each ``key=value``.

    >>> fitting_options(['noise'], ['distill.noise.color=False', 'distill.ema=None'])
    ['distill.noise.color=False']
    """
    absent = [each.key for name, each in INGREDIENTS.items() if name not in present]
    keys = [option.partition('=')[0] for option in options]
    return [
        option
        for option, key in zip(options, keys, strict=True)
        if not any(f'{key}.'.startswith(f'{each}.') for each in absent)
    ]


def _with_ingredients(name: str) -> Arm:
    """Return full fusion with the ingredients that a name joins."""
    parts = name.split('+')
    unknown = [part for part in parts if part not in INGREDIENTS]
    if unknown:
        known = [arm.name for arm in PAPER] + [UPPER_BOUND, EVERYTHING]
        raise ConfigError(
            f'--arms must be of {", ".join(known)}, or ingredients joined by +, of '
            f'{", ".join(INGREDIENTS)}; got {name}'
        )
    ingredients = tuple(each for each in INGREDIENTS if each in parts)
    before = ['+'.join(ingredients[:-1])] if len(ingredients) > 1 else []
    return Arm(
        '+'.join(ingredients),
        f'student, fusion + {" + ".join(map(_words, ingredients))}',
        (*before, 'fusion', 'best_supervised', 'best_stacked'),
        ingredients,
    )


def _words(name: str) -> str:
    return 'EMA' if name == 'ema' else name.replace('_', ' ')
