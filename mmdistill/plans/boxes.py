"""Comparison of unlabeled and labeled boxes before anything is labeled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.config.recipe import Recipe
from mmdistill.engine.box_fits import (
    RefitOption,
    candidates_fill,
    compare_fills,
    labeled_fill,
    settle_fit,
)
from mmdistill.functional.box_fit import BoxFit, PoseFill
from mmdistill.stages.image_teachers import are_finders, refit_arguments
from mmdistill.stages.label_config import teacher_models
from mmdistill.store import Candidates, LabelStore


@dataclass(frozen=True)
class PlannedBoxes:
    """Box fit that labeling will apply, and the fill of the labeled boxes.

    Attributes:
        labeled: The fill of the labeled set; None where it cannot be measured.
        fit: The box fit; None where boxes are used unchanged.
        found: Whether the teacher finds the boxes itself.
    """

    labeled: PoseFill | None
    fit: BoxFit | None
    found: bool = False

    @staticmethod
    def of(recipe: Recipe, labeled: Any) -> PlannedBoxes:
        """Settle the box fit in the way labeling does.

        Args:
            recipe: The recipe.
            labeled: The labeled data set.

        Raises:
            UserError: If the manifest of the label store is damaged.
        """
        fill = labeled_fill(labeled)
        models = teacher_models(recipe)
        arguments = refit_arguments(recipe, models)
        option = RefitOption(arguments['refit'], arguments['stated'])
        store = LabelStore(recipe.distill.store)
        found = bool(models) and are_finders(models)
        return PlannedBoxes(fill, settle_fit(option, fill, store), found)

    def rows(self, candidates: Sequence[Candidates]) -> list[tuple[str, str]]:
        """Return rows of a plan that compare how poses fill their boxes on both sides.

        Args:
            candidates: Candidates of a trial, image by image.
        """
        if self.labeled is None:
            return []
        unlabeled = candidates_fill(candidates, self.labeled)
        if unlabeled is None:
            return []
        fitted = self.fit is not None
        comparison = compare_fills(self.labeled, unlabeled, fitted, self.found)
        return [('boxes', comparison.sentence)]
