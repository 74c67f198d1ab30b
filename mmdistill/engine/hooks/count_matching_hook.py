"""Count matching when the labels are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.datasets.pseudo_sources import pseudo_of
from mmdistill.engine.loops.store_loop import StoreLoop
from mmdistill.errors import ConfigError
from mmdistill.registry import HOOKS
from mmdistill.selection import Selection
from mmdistill.selection.counts import build_labeled, log_members
from mmdistill.selection.selection import has_selection, load_selection, stale_reasons
from mmdistill.selection.summary import log_selection, scalars, summarize
from mmdistill.selection.threshold_matching import select
from mmdistill.selection.training_labels import write_kept_images
from mmdistill.store import LabelStore
from mmdistill.utils.dataset_members import concatenated
from mmdistill.utils.dist import run_on_rank_zero

NOT_FOR_TRAINING = (
    'a training on pseudo-labels is watched by '
    "dict(type='mmdistill.LabelMixHook') in custom_hooks, got CountMatchingHook, which "
    'selects labels when they are made'
)
"""Error of a training that names the hook of the labeling stage."""


@HOOKS.register_module()
class CountMatchingHook(Hook):
    """Pick the thresholds at which both sets carry as many instances per image.

    After labeling it writes `selection.json` into the store, and gives its figures
    to the log and to MMEngine's visualizer, as `count_matching/...`. Training on what
    is kept is watched by `LabelMixHook`.

    The labeled mean is counted over all images of the set by default: then
    empty images count on both sides alike, which is right when both sets were
    taken the same way. Where the labeled images were chosen because there is
    somebody on them and the unlabeled ones were too, 'annotated' is right
    (Detectron, the paper's code, trains on such images only); with unlabeled
    images that nobody looked through, it would force labels onto empty ones.

    Args:
        labeled: Config of the labeled data set.
        options: Those of `SelectionOptions`.

    Raises:
        UserError: If one of the options is none of theirs.
    """

    def __init__(self, labeled: dict | None = None, **options: Any) -> None:
        self.labeled = labeled
        self.options = SelectionOptions(**options)

    def before_test(self, runner: Runner) -> None:
        """Count the labeled set before anything expensive is done.

        Args:
            runner: The runner of the labeling stage.

        Raises:
            UserError: If no labeled set is stated, or it has no instance.
        """
        if not isinstance(runner.test_loop, StoreLoop):
            return
        if self.labeled is None:
            raise ConfigError(
                'CountMatchingHook needs the labeled data set to count, got none'
            )
        self._counts = log_members(build_labeled(self.labeled))

    def after_test(self, runner: Runner) -> None:
        """Match counts and write the selection.

        A selection stays while the store, the labeled set and the options do, and
        is made again when one of them changed. Options that were passed to
        `tools/select_labels.py` hold then too. Kept frames of videos are written
        into the store.

        Args:
            runner: The runner of the labeling stage.

        Raises:
            UserError: If nothing would be kept.
        """
        if isinstance(runner.test_loop, StoreLoop):
            store = runner.test_loop.store
            # What stops the first process stops the others, with the same sentence.
            run_on_rank_zero(lambda: self._select(runner, store))

    def _select(self, runner: Runner, store: LabelStore) -> None:
        selection = self._selection(store)
        runner.visualizer.add_scalars(scalars(selection))
        write_kept_images(store, selection, lambda: runner.test_loop.dataset)

    def _selection(self, store: LabelStore) -> Selection:
        """The one that stands, or another where it does not hold any more."""
        if not has_selection(store):
            return self._make_selection(store, {})
        standing, current = load_selection(store)
        options = replace(self.options, **standing.changes)
        reasons = stale_reasons(standing, options, self._counts, current)
        if standing.changes:
            changes = ', '.join(f'{k}={v!r}' for k, v in standing.changes.items())
            print_log(
                f'{changes} was given to tools/select_labels.py and holds until that '
                "is run without; the config's other options hold too",
                logger='current',
            )
        if not reasons:
            print_log(f'the selection stays: {summarize(standing)}', logger='current')
            return standing
        print_log(f'labels are selected again: {"; ".join(reasons)}', logger='current')
        return self._make_selection(store, standing.changes)

    def _make_selection(
        self, store: LabelStore, changes: Mapping[str, Any]
    ) -> Selection:
        options = replace(self.options, **changes)
        selection = replace(select(store, self._counts, options), changes=changes)
        selection.write(store)
        log_selection(selection, 'count matching: ')
        return selection

    def before_train(self, runner: Runner) -> None:
        """Refuse to stand in for the hook that watches a training.

        Args:
            runner: The runner of a training.

        Raises:
            UserError: If the training has a source of pseudo-labels.
        """
        dataset = runner.train_dataloader.dataset
        sources = concatenated(dataset)
        if any(pseudo_of(source) is not None for source in sources):
            raise ConfigError(NOT_FOR_TRAINING)
