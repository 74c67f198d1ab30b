"""All that the files of a recipe are written of, and the wording that they share."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdistill.recipes.config_text import WIDTH, Reasoned
from mmdistill.recipes.keypoints import Keypoints
from mmdistill.recipes.models import LITE, Model
from mmdistill.recipes.recommend import Recommended, Settings
from mmdistill.recipes.unlabeled_set import UnlabeledSet


@dataclass(frozen=True)
class DataFiles:
    """Files of a set as a config names them.

    Attributes:
        ann_file: The COCO json.
        img: Folder of its images.
    """

    ann_file: str
    img: str


@dataclass(frozen=True)
class Network:
    """A model that a recipe trains.

    Attributes:
        model: The model.
        codec: Its codec.
        lr: Its learning rate.
    """

    model: Model
    codec: Recommended[Mapping[str, Any]]
    lr: Recommended[float]


@dataclass(frozen=True)
class Parts:
    """All that the files of a recipe are written of.

    Attributes:
        name: Name of the recipe.
        folder: The folder that it is written to, as it is typed.
        work_dir: The folder of its checkpoints and labels.
        distill_base: The `_base_/distill.py`, as the student names it.
        category: What is annotated.
        instances: Number of labeled instances that train.
        keypoints: The keypoints.
        model: The student's model.
        teacher: That of the teacher; None for the student's.
        settings: The recommended settings.
        machine: The machine, in words.
        train: Files of the training set.
        val: Files of the validation set.
        val_rule: Where the validation set is from.
        truth: Files of the true labels of the unlabeled set; None without.
        unlabeled: The unlabeled set.
        boxes: Entries of `distill` about boxes, and of its `unlabeled`.
        boxes_reason: Where the boxes are from.
        labeled_share: Stated share of labels; None for the default.
        seed: Seed of the trainings.
    """

    name: str
    folder: str
    work_dir: str
    distill_base: str
    category: str
    instances: int
    keypoints: Keypoints
    model: Model
    teacher: Network | None
    settings: Settings
    machine: str
    train: DataFiles
    val: DataFiles
    val_rule: str
    truth: DataFiles | None
    unlabeled: UnlabeledSet
    boxes: tuple[dict[str, Any], dict[str, Any]]
    boxes_reason: str
    labeled_share: float | None
    seed: int

    @property
    def student(self) -> Network:
        """The model of the student and of the baseline."""
        return Network(self.model, self.settings.codec, self.settings.lr)

    def base_of(self, model: Model) -> str:
        """Name the config of a model as one in the folder of the recipe does.

        Args:
            model: The model.
        """
        base = model.base
        if '::' in base or Path(base).is_absolute():
            return base
        return Path(os.path.relpath(base, self.folder)).as_posix()

    @property
    def modules(self) -> list[str]:
        """Modules beside the configs that they import."""
        whole = ['whole_frame'] if self.settings.whole_frame.value else []
        return [*([LITE] if self.model.lite is not None else []), *whole]


def reasoned(recommended: Recommended[Any]) -> Reasoned:
    """Return a recommended value whose reason is a comment above it.

    Args:
        recommended: The value.
    """
    return Reasoned(recommended.value, sentence(recommended.reason))


def sentence(text: str) -> str:
    """Make a sentence of a clause: a capital, and a full stop.

    Args:
        text: The clause.
    """
    return f'{text[:1].upper()}{text[1:]}.'


def training_command(parts: Parts, file: str) -> str:
    """Return the command that runs a config of a recipe.

    Args:
        parts: The recipe.
        file: Name of the config, without its ending.
    """
    return f'python tools/train.py {shlex.quote(parts.folder)}/{file}.py'


def docstring(first: str, command: str, rest: str) -> str:
    """Write the docstring of a config: its first line, the command, a paragraph.

    Args:
        first: The first line.
        command: The command that runs it.
        rest: The paragraph.
    """
    return f'{wrapped(first)}\n\n    {command}\n\n{wrapped(rest)}'


def wrapped(text: str) -> str:
    """Break a text of a docstring into lines.

    Args:
        text: The text.
    """
    # The quotes stand before the first line.
    return textwrap.fill(
        text.replace('\\', '/').replace('"', "'"),
        WIDTH,
        initial_indent='   ',
        break_long_words=False,
        break_on_hyphens=False,
    )[3:]
