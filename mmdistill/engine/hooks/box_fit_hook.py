"""Hook that compares boxes with those of the labeled set, and has them fitted."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.engine.box_fits import (
    RefitOption,
    candidates_fill,
    compare_fills,
    labeled_fill,
    settle_fit,
    stored_candidates,
)
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.engine.runner import unwrap_model
from mmdistill.functional.box_fit import BoxFit, PoseFill
from mmdistill.registry import HOOKS
from mmdistill.selection.counts import build_labeled
from mmdistill.store import LabelStore
from mmdistill.utils.dist import run_on_rank_zero

FINAL_CHUNKS = 16
"""Chunks compared at the end where the first one has too few poses."""


@HOOKS.register_module()
class BoxFitHook(Hook):
    """Compare the boxes of both sides, and have them fitted around poses.

    A top-down teacher errs more in boxes unlike those that it was trained in. After
    the first chunk of the store the log reports how much of its box a pose fills in
    the labeled set and in the unlabeled images, as a warning where they differ.

    Where boxes are fitted, the model predicts twice for each, see
    `HeatmapFusionTTA.box_fit`, with the margins that poses have in the labeled set.

    Args:
        labeled: Config of the labeled data set.
        refit: Whether boxes are fitted.
        stated: Whether the config states it, see `RefitOption`.
        like: Folder of a store whose fit is used for this one too; then boxes are
            not compared.
    """

    def __init__(
        self,
        labeled: dict,
        refit: bool = False,
        stated: bool = True,
        like: str | None = None,
    ) -> None:
        self.labeled = labeled
        self.option = RefitOption(refit, stated)
        self.like = like
        self._fill: PoseFill | None = None
        self._fitted = self._found = False
        self._chunks_to_compare = 0

    def before_test(self, runner: Runner) -> None:
        """Measure the labeled set, and set on the model how boxes are fitted.

        Args:
            runner: The runner of the labeling stage.

        Raises:
            UserError: If the annotations or the store's manifest are damaged.
        """
        if not isinstance(runner.test_loop, LabelLoop):
            return
        store = runner.test_loop.store if self.like is None else LabelStore(self.like)

        def measure() -> tuple[PoseFill | None, BoxFit | None]:
            fill = labeled_fill(build_labeled(self.labeled))
            return fill, settle_fit(self.option, fill, store)

        # A data set of MMPose is the same on all ranks, and so is a store.
        self._fill, fit = run_on_rank_zero(measure)
        unwrap_model(runner.model).box_fit = fit
        self._fitted = fit is not None
        self._found = not runner.test_loop.dataset.has_boxes
        # Rank 0 writes the first chunk.
        compare = self._fill and self.like is None and is_main_process()
        self._chunks_to_compare = 1 if compare else 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Compare the boxes if the store has its first chunk already.

        Args:
            runner: The runner of the labeling stage.
        """
        self._compare_first(runner)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Compare the boxes once the store has its first chunk.

        Args:
            runner: The runner of the labeling stage.
            batch_idx: Number of the batch.
            data_batch: Not used.
            outputs: Not used.
        """
        self._compare_first(runner)

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Compare the boxes of more chunks if the first has too few poses.

        Args:
            runner: The runner of the labeling stage; its store is complete.
            metrics: Not used.
        """
        self._compare_first(runner)
        if self._chunks_to_compare:
            self._compare(runner.test_loop.store)

    def _compare_first(self, runner: Runner) -> None:
        if self._chunks_to_compare != 1:
            return
        store = runner.test_loop.store
        if 0 not in store.missing_chunks():
            self._compare(store)

    def _compare(self, store: LabelStore) -> None:
        """Log how poses fill their boxes in the chunks to compare."""
        assert self._fill is not None
        chunks = range(min(self._chunks_to_compare, store.num_chunks))
        fill = candidates_fill([stored_candidates(store, chunks)], self._fill)
        if fill is None:
            self._compare_later()
            return
        self._chunks_to_compare = 0
        comparison = compare_fills(self._fill, fill, self._fitted, self._found)
        print_log(comparison.sentence, logger='current', level=comparison.level)

    def _compare_later(self) -> None:
        """Compare more chunks at the end; give up after that."""
        if self._chunks_to_compare == 1:
            self._chunks_to_compare = FINAL_CHUNKS
            return
        self._chunks_to_compare = 0
        print_log(
            'boxes are not compared with those of the labeled set: too few poses are '
            'confident enough',
            logger='current',
        )
