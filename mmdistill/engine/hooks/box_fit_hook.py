"""Boxes as those of the labeled set: compared while labeling, and fitted."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
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
from mmdistill.functional.box_fit import BoxFit, PoseFill
from mmdistill.registry import HOOKS
from mmdistill.selection.counts import build_labeled
from mmdistill.store import LabelStore
from mmdistill.utils.dist import run_on_rank_zero

MORE_CHUNKS = 16
"""Chunks that are compared in the end where the first has too few poses."""


@HOOKS.register_module()
class BoxFitHook(Hook):
    """Compare the boxes of both sides, and have them fitted around poses.

    A top-down teacher errs more in boxes unlike those that it was trained in. After
    the first chunk of the store the log says which part of its box a pose fills in
    the labeled set and in the unlabeled images, as a warning where they differ.

    Where boxes are fitted, the model looks at each twice, see
    `HeatmapFusionTTA.box_fit`, with the margins that poses have in the labeled set.

    Args:
        labeled: Config of the labeled data set.
        refit: Whether boxes are fitted.
        stated: Whether the user stated it, see `RefitOption`.
        like: Folder of a store whose fit holds for the one that is written too; then
            the log says nothing of the boxes.
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
        self._fitted = False
        self._chunks_to_compare = 0

    def before_test(self, runner: Runner) -> None:
        """Measure the labeled set, and tell the model how boxes are fitted.

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

        # A data set of MMPose's is the same on all ranks, and so is a store.
        self._fill, fit = run_on_rank_zero(measure)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.box_fit = fit
        self._fitted = fit is not None
        # The first chunk is the first rank's.
        compares = self._fill and self.like is None and is_main_process()
        self._chunks_to_compare = 1 if compares else 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Compare the boxes where the store has its first chunk already.

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
            data_batch: The batch.
            outputs: What the model returned.
        """
        self._compare_first(runner)

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Compare the boxes of more chunks where the first has too few poses.

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
        """Log how poses fill their boxes, by as many chunks as are to be compared."""
        assert self._fill is not None
        chunks = range(min(self._chunks_to_compare, store.num_chunks))
        found = candidates_fill([stored_candidates(store, chunks)], self._fill)
        if found is None:
            self._compare_more()
            return
        self._chunks_to_compare = 0
        comparison = compare_fills(self._fill, found, self._fitted)
        print_log(comparison.sentence, logger='current', level=comparison.level)

    def _compare_more(self) -> None:
        """Look at more chunks in the end; give up after that."""
        if self._chunks_to_compare == 1:
            self._chunks_to_compare = MORE_CHUNKS
            return
        self._chunks_to_compare = 0
        print_log(
            'boxes are not compared with those of the labeled set: too few poses are '
            'sure enough',
            logger='current',
        )
