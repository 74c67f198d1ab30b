"""Count matching after labelling, and its check before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.engine.labeled_counts import build_labeled, count_labeled
from mmdistill.engine.matching import OVER, described, select_by_count, select_by_score
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore, Selection
from mmdistill.labels.selection import (
    SELECTION_FILE,
    LabeledCounts,
    standing_selection,
)
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class CountMatchingHook(Hook):
    """Pick the threshold at which both sets carry as many instances per image.

    After labelling it writes `selection.json` into the store. Before training it
    makes sure that the selection was matched to the labelled set that is trained
    on, and says what the student will see.

    The labelled mean is counted over all images of the set by default: then
    empty images count on both sides alike, which is right when both sets were
    taken the same way. Where the labelled images were chosen because there is
    somebody on them and the unlabelled ones were too, 'annotated' is right
    (Detectron, the paper's code, trains on such images only); with unlabelled
    images that nobody looked through, it would force labels onto empty ones.

    Args:
        labeled: Config of the labelled data set; needed for labelling only.
        over: Labelled images that count, 'all' or 'annotated'.
        keypoint_thr: Keypoint score above which a keypoint of a kept candidate
            is visible to the student.

    Raises:
        UserError: If `over` or `keypoint_thr` is neither of these.
    """

    def __init__(
        self,
        labeled: dict | None = None,
        over: str = 'all',
        keypoint_thr: float = 0.2,
    ) -> None:
        if over not in OVER:
            raise UserError(f'over must be one of {list(OVER)}, got {over!r}')
        if not isinstance(keypoint_thr, (int, float)) or math.isnan(keypoint_thr):
            raise UserError(f'keypoint_thr must be a number, got {keypoint_thr!r}')
        self.labeled = labeled
        self.over = over
        self.keypoint_thr = keypoint_thr

    def before_test(self, runner: Runner) -> None:
        """Count the labelled set before anything expensive is done.

        Args:
            runner: The runner of the labelling stage.

        Raises:
            UserError: If no labelled set is given, or it has no instance.
        """
        if not hasattr(runner.test_loop, 'store'):
            return
        if self.labeled is None:
            raise UserError(
                'CountMatchingHook needs the labelled data set to count, got none'
            )
        self._counts = count_labeled(build_labeled(self.labeled))

    def after_test(self, runner: Runner) -> None:
        """Match counts and write the selection.

        A selection that stands stays while the store does; when images joined it,
        counts are matched again, and a threshold that was set by hand stays with
        new counts. `tools/select_labels.py` makes another in any case.

        Args:
            runner: The runner of the labelling stage.

        Raises:
            UserError: If nothing would be kept.
        """
        store = getattr(runner.test_loop, 'store', None)
        if store is None or not is_main_process():
            return
        standing, current = _standing(store)
        if standing is not None and current:
            print_log(f'the selection stays: {described(standing)}', logger='current')
            return
        if standing is not None and standing.rule == 'score':
            selection = _counted_anew(store, standing)
        else:
            selection = select_by_count(
                store, self._counts, self.over, self.keypoint_thr
            )
        selection.write(store)
        print_log(f'count matching: {described(selection)}', logger='current')

    def before_train(self, runner: Runner) -> None:
        """Check that the selection belongs to the labelled set, and tell the mix.

        Args:
            runner: The runner of the training stage.

        Raises:
            UserError: If the selection was matched to none of the labelled sets, or
                there is none.
        """
        dataset = runner.train_dataloader.dataset
        sources = getattr(dataset, 'datasets', [dataset])
        pseudo = [source for source in sources if hasattr(source, 'selection')]
        labeled = [source for source in sources if not hasattr(source, 'selection')]
        if not pseudo:
            return
        if not labeled:
            raise UserError(
                'CountMatchingHook needs a labelled set beside the pseudo-labels to '
                'compare their counts with, got none; a training on pseudo-labels '
                'alone goes without this hook'
            )
        _check_slots(runner.train_dataloader.batch_sampler, sources)
        counts = [count_labeled(source) for source in labeled]
        for source in pseudo:
            _check_same_set(source, counts)
        _tell_mix(runner, labeled, pseudo)


def _standing(store: LabelStore) -> tuple[Selection | None, bool]:
    if not (store.root / SELECTION_FILE).is_file():
        return None, False
    return standing_selection(store)


def _counted_anew(store: LabelStore, selection: Selection) -> Selection:
    return select_by_score(
        store,
        selection.labeled,
        selection.over,
        selection.keypoint_thr,
        selection.score_thr,
    )


def _check_slots(batches: Any, sources: list) -> None:
    """The sampler can not see which source is labelled; this hook can."""
    number = getattr(batches, 'labeled_source', None)
    if number is not None and hasattr(sources[number], 'selection'):
        raise UserError(
            f'labeled_source must be the position of the labelled set among the '
            f'sources, got {number}, which is the pseudo-labels'
        )


def _check_same_set(pseudo: Any, counts: Sequence[LabeledCounts]) -> None:
    matched = pseudo.selection.labeled
    if matched.fingerprint in (trained.fingerprint for trained in counts):
        return
    others = ' and '.join(f'{each.instances} on {each.images}' for each in counts)
    raise UserError(
        f'the selection of {pseudo.store.root} was matched to a labelled set of '
        f'{matched.instances} instances on {matched.images} images, training uses '
        f'another one of {others}; select anew with tools/select_labels.py'
    )


def _tell_mix(runner: Runner, labeled: list, pseudo: list) -> None:
    instances = sum(len(source) for source in labeled)
    kept = sum(len(source) for source in pseudo)
    keypoints = sum(source.num_visible_keypoints for source in pseudo)
    batches = runner.train_dataloader.batch_sampler
    share = 'mixed without a fixed share'
    if hasattr(batches, 'num_labeled'):
        share = f'{batches.num_labeled} of {batches.batch_size} in a batch are labelled'
    print_log(
        f'the student sees {instances} labelled instances and {kept} '
        f'pseudo-labels with {keypoints} visible keypoints; {share}',
        logger='current',
    )
