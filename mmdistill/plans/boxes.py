"""Boxes of the unlabeled images beside the labeled ones, before anything is labeled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmdistill.config.schema import refit_arguments
from mmdistill.engine.box_fits import (
    RefitOption,
    candidates_fill,
    compare_fills,
    labeled_fill,
    settle_fit,
)
from mmdistill.functional.box_fit import BoxFit, PoseFill
from mmdistill.store import Candidates, LabelStore


@dataclass(frozen=True)
class PlannedBoxes:
    """How boxes will be fitted, and what the labeled ones are like.

    Attributes:
        labeled: The fill of the labeled set; None where it cannot be measured.
        fit: How boxes are fitted; None where they stay as they are.
    """

    labeled: PoseFill | None
    fit: BoxFit | None

    @staticmethod
    def of(config: Config, labeled: Any) -> PlannedBoxes:
        """Decide it as labeling will.

        Args:
            config: A config with a `distill` section.
            labeled: The labeled data set.

        Raises:
            UserError: If the manifest of the label store is damaged.
        """
        fill = labeled_fill(labeled)
        arguments = refit_arguments(config.distill)
        option = RefitOption(arguments['refit'], arguments['stated'])
        store = LabelStore(config.distill.store)
        return PlannedBoxes(fill, settle_fit(option, fill, store))

    def rows(self, candidates: Sequence[Candidates]) -> list[tuple[str, str]]:
        """Rows of a plan: what a pose fills of its box on both sides.

        Args:
            candidates: What a trial found, image by image.
        """
        if self.labeled is None:
            return []
        found = candidates_fill(candidates, self.labeled)
        if found is None:
            return []
        comparison = compare_fills(self.labeled, found, self.fit is not None)
        return [('boxes', comparison.sentence)]
