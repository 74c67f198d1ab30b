"""Count matching after labeling, and its check before training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.engine.hooks.label_mix import (
    SampleCounter,
    check_labeled,
    check_pseudo,
    check_slots,
    has_sample_tags,
    log_label_mix,
    mix_scalars,
    warn_if_mix_changed,
)
from mmdistill.errors import UserError
from mmdistill.registry import HOOKS
from mmdistill.selection import Selection
from mmdistill.selection.counts import build_labeled, log_members
from mmdistill.selection.matching import select
from mmdistill.selection.selection import SELECTION_FILE, load_selection, stale_reasons
from mmdistill.selection.summary import log_selection, scalars, store_names, summarize
from mmdistill.selection.training_labels import write_kept_images
from mmdistill.store import LabelStore
from mmdistill.utils.dist import run_on_rank_zero


@HOOKS.register_module()
class CountMatchingHook(Hook):
    """Pick the thresholds at which both sets carry as many instances per image.

    After labeling it writes `selection.json` into the store. Before training it
    makes sure that the selection was matched to the labeled set that is trained
    on, and says what the student will see. While it trains, the samples of its
    batches are counted by kind: the labeled share so far is logged with the loss, as
    `labeled_share`, and the counts of all processes at the end. All goes to the log
    and to MMEngine's visualizer, as `count_matching/...` and `mix/...`; of several
    stores each has a name of its own there.

    The labeled mean is counted over all images of the set by default: then
    empty images count on both sides alike, which is right when both sets were
    taken the same way. Where the labeled images were chosen because there is
    somebody on them and the unlabeled ones were too, 'annotated' is right
    (Detectron, the paper's code, trains on such images only); with unlabeled
    images that nobody looked through, it would force labels onto empty ones.

    Args:
        labeled: Config of the labeled data set; needed for labeling only.
        options: Those of `SelectionOptions`.

    Raises:
        UserError: If one of the options is none of theirs.
    """

    def __init__(self, labeled: dict | None = None, **options: Any) -> None:
        self.labeled = labeled
        self.options = SelectionOptions(**options)
        self._seen: SampleCounter | None = None

    def before_test(self, runner: Runner) -> None:
        """Count the labeled set before anything expensive is done.

        Args:
            runner: The runner of the labeling stage.

        Raises:
            UserError: If no labeled set is given, or it has no instance.
        """
        if not hasattr(runner.test_loop, 'store'):
            return
        if self.labeled is None:
            raise UserError(
                'CountMatchingHook needs the labeled data set to count, got none'
            )
        self._counts = log_members(build_labeled(self.labeled))

    def after_test(self, runner: Runner) -> None:
        """Match counts and write the selection.

        A selection stays while the store, the labeled set and the options do, and
        is made again when one of them changed. Options that were given to
        `tools/select_labels.py` hold then too. Kept frames of videos are written
        into the store.

        Args:
            runner: The runner of the labeling stage.

        Raises:
            UserError: If nothing would be kept.
        """
        store = getattr(runner.test_loop, 'store', None)
        if store is not None:
            # What stops the first process stops the others, with the same sentence.
            run_on_rank_zero(lambda: self._select(runner, store))

    def _select(self, runner: Runner, store: LabelStore) -> None:
        selection = self._selection(store)
        runner.visualizer.add_scalars(scalars(selection))
        write_kept_images(store, selection, lambda: runner.test_loop.dataset)

    def _selection(self, store: LabelStore) -> Selection:
        """The one that stands, or another where it does not hold any more."""
        if not (store.root / SELECTION_FILE).is_file():
            return self._make_selection(store, {})
        standing, current = load_selection(store)
        options = replace(self.options, **standing.changes)
        reasons = stale_reasons(standing, options, self._counts, current)
        if standing.changes:
            given = ', '.join(f'{k}={v!r}' for k, v in standing.changes.items())
            print_log(
                f'{given} was given to tools/select_labels.py and holds until that is '
                "run without; the config's other options hold too",
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
        """Check that the selection belongs to the labeled set, and tell the mix.

        Args:
            runner: The runner of the training stage.

        Raises:
            UserError: If there is no labeled set beside the pseudo-labels, the
                selection was matched to none of them, or no pseudo-label has a
                visible keypoint.
        """
        dataset = runner.train_dataloader.dataset
        sources = getattr(dataset, 'datasets', [dataset])
        pseudo = [source for source in sources if hasattr(source, 'selection')]
        labeled = [source for source in sources if not hasattr(source, 'selection')]
        if not pseudo:
            return
        batches = runner.train_dataloader.batch_sampler
        check_slots(batches, sources)
        for source in pseudo:
            check_pseudo(source)
        check_labeled(labeled, pseudo)
        log_label_mix(labeled, pseudo, batches, runner.max_iters)
        warn_if_mix_changed(runner.message_hub, labeled, pseudo)
        if is_main_process():
            found = mix_scalars(labeled, pseudo, batches)
            names = store_names([source.store.root for source in pseudo])
            for source, name in zip(pseudo, names, strict=True):
                found.update(scalars(source.selection, name))
            runner.visualizer.add_scalars(found)
        self._count_from_here(dataset)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Count the samples of a batch, and hand the share so far to the log.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
            outputs: What the training step returned.
        """
        if self._seen is not None:
            self._seen.add(data_batch['data_samples'])
            runner.message_hub.update_scalar('train/labeled_share', self._seen.share)

    def after_train(self, runner: Runner) -> None:
        """Tell what the student saw, on all processes, since it began or was resumed.

        Args:
            runner: The runner of the training stage.
        """
        if self._seen is None:
            return
        seen = self._seen.of_all_ranks()
        print_log(
            f'the student saw {seen.labeled} labeled and {seen.pseudo} '
            f'pseudo-labeled samples: {seen.share:.3f} of them labeled',
            logger='current',
        )
        runner.visualizer.add_scalars(seen.figures(), step=runner.iter)

    def _count_from_here(self, dataset: Any) -> None:
        self._seen = SampleCounter() if has_sample_tags(dataset) else None
        if self._seen is None:
            print_log(
                'the labeled share of the batches will not be counted: samples of a '
                f'{type(dataset).__name__} do not say which are pseudo-labeled '
                "without dict(type='mmdistill.SeededDataset', dataset=...) around it",
                logger='current',
                level=logging.WARNING,
            )
