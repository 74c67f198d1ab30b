"""The mix of labeled samples and pseudo-labels that a student trains on.

It is checked and logged before a training, compared with the mix of the run that is
resumed, and counted while the student trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, print_log
from mmengine.runner import Runner

from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.pseudo_sources import PseudoSource, pseudo_of
from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    MixedRatioBatchSampler,
)
from mmdistill.datasets.seeded_dataset import check_weights_carried
from mmdistill.engine.mix_figures import has_image_samples, mix_scalars, unmixed
from mmdistill.engine.pseudo_weights import (
    check_loss_power,
    log_weights,
    weight_notes,
)
from mmdistill.engine.sample_counter import SampleCounter, has_sample_tags
from mmdistill.errors import ConfigError, StoreError
from mmdistill.registry import HOOKS
from mmdistill.selection.counts import LabeledCounts, count_members, join_counts
from mmdistill.selection.summary import scalars, store_names, summarize
from mmdistill.utils.dataset_members import concatenated, is_countable
from mmdistill.utils.logging import warn

FAR_OFF = 3
"""A number of pseudo-labels beyond this factor of the aim is logged as a warning."""


@HOOKS.register_module()
class LabelMixHook(Hook):
    """Check and log the mix of labeled samples and pseudo-labels of a training.

    Before training it makes sure that the selection was matched to the labeled set
    that is trained on, and logs what the student will see. While it trains, the
    samples of its batches are counted by kind: the labeled share so far is logged with
    the loss, as `labeled_share`, and the counts of all processes at the end. All goes
    to the log and to MMEngine's visualizer, as `count_matching/...` and `mix/...`; of
    several stores each has a name of its own there.
    """

    def __init__(self) -> None:
        self._seen: SampleCounter | None = None

    def before_train(self, runner: Runner) -> None:
        """Check that the selection belongs to the labeled set, and log the mix.

        Args:
            runner: The runner of the training stage.

        Raises:
            UserError: If there is no labeled set beside the pseudo-labels, the
                selection was matched to none of them, or no pseudo-label has a
                visible keypoint.
        """
        dataset = runner.train_dataloader.dataset
        sources = concatenated(dataset)
        found = [pseudo_of(each) for each in sources]
        pseudo = [each for each in found if each is not None]
        labeled = [s for s, each in zip(sources, found, strict=True) if each is None]
        if not pseudo:
            return
        batches = runner.train_dataloader.batch_sampler
        check_slots(batches, sources)
        for source in pseudo:
            check_pseudo(source)
        labeled = [unmixed(each) for each in labeled]
        check_labeled(labeled, pseudo)
        poses = [each for each in pseudo if isinstance(each, PseudoLabelDataset)]
        if any(each.is_weighted for each in poses):
            check_weights_carried(dataset)
            check_loss_power(poses, runner.cfg)
        figures = log_label_mix(labeled, pseudo, batches, runner.max_iters)
        warn_if_mix_changed(runner.message_hub, labeled, pseudo)
        if is_main_process():
            names = store_names([source.store.root for source in pseudo])
            for source, name in zip(pseudo, names, strict=True):
                figures.update(scalars(source.selection, name))
            runner.visualizer.add_scalars(figures)
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
        """Log what the student saw, on all processes, since it began or was resumed.

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
            warn(
                'the labeled share of the batches will not be counted: samples of a '
                f'{type(dataset).__name__} do not say which are pseudo-labeled '
                "without dict(type='mmdistill.SeededDataset', dataset=...) around it"
            )


def check_slots(batches: Any, sources: Sequence[Any]) -> None:
    """Make sure that the labeled slots of a batch are the labeled set's.

    The sampler cannot see which source is labeled.

    Args:
        batches: The batch sampler.
        sources: The data sets that it draws from.

    Raises:
        UserError: If its `labeled_source` is one of pseudo-labels.
    """
    if not isinstance(batches, MixedRatioBatchSampler):
        return
    for number in batches.labeled_source:
        if pseudo_of(sources[number]) is not None:
            raise ConfigError(
                f'labeled_source must be the position of the labeled set among the '
                f'sources, got {number}, which is the pseudo-labels'
            )


def check_pseudo(pseudo: PseudoSource) -> None:
    """Make sure that pseudo-labels train something, and warn when they are far off.

    Args:
        pseudo: A data set of pseudo-labels.

    Raises:
        UserError: If there is none, or none has a visible keypoint.
    """
    if len(pseudo) == 0:
        raise StoreError(
            f'the selection of {pseudo.store.root} is empty, so the student would '
            'learn from labels alone; select others with tools/select_labels.py, which '
            'says what keeps some'
        )
    poses = isinstance(pseudo, PseudoLabelDataset)
    if poses and pseudo.num_visible_keypoints == 0:
        raise StoreError(
            f'the {pseudo.num_labels} pseudo-labels of {pseudo.store.root} carry no '
            'visible keypoint, so they would train nothing; select with a lower '
            'keypoint threshold, by tools/select_labels.py --keypoint-thr, which says '
            'what keeps some'
        )
    aim, count = pseudo.selection.aim, pseudo.num_labels
    if not aim / FAR_OFF <= count <= aim * FAR_OFF:
        warn(
            f'{count} pseudo-labels of {pseudo.store.root} are '
            f'{count / aim:.2f} times the {aim:.1f} that count matching aims at; '
            'look at them with tools/draw_labels.py, select others with '
            'tools/select_labels.py'
        )


def check_labeled(labeled: Sequence[Any], pseudo: Sequence[PseudoSource]) -> None:
    """Make sure that every selection was matched to a labeled set that is trained on.

    A labeled set that it was not matched to, or that cannot be counted, is logged.

    Args:
        labeled: The labeled data sets.
        pseudo: Those of pseudo-labels.

    Raises:
        UserError: If there is no labeled set, or a selection belongs to none.
    """
    if not labeled:
        raise ConfigError(
            'LabelMixHook needs a labeled set beside the pseudo-labels to '
            'compare their counts with, got none; a training on pseudo-labels '
            'alone goes without this hook in custom_hooks'
        )
    counted = [source for source in labeled if is_countable(source)]
    members = [count_members(source) for source in counted]
    counts = [join_counts(each) for each in members]
    for source in pseudo:
        matched = source.selection.labeled
        if len(counted) == len(labeled) and _fits(members, matched):
            continue
        others = [each for each in counts if each.fingerprint != matched.fingerprint]
        if len(others) == len(counts):
            _refuse_or_warn(source, counts, len(labeled) - len(counted))
        elif others or len(counted) < len(labeled):
            warn(
                f'the selection of {source.store.root} was matched to one of '
                f'{len(labeled)} labeled sets; it does not count the others: '
                f'{_listed(others, len(labeled) - len(counted))}'
            )


def _fits(members: Sequence[Sequence[LabeledCounts]], matched: LabeledCounts) -> bool:
    """Whether a selection was matched to all labeled sets together."""
    together = join_counts([each for counts in members for each in counts])
    return together.fingerprint == matched.fingerprint


def _refuse_or_warn(
    pseudo: PseudoSource, counts: Sequence[LabeledCounts], uncounted: int
) -> None:
    matched = pseudo.selection.labeled
    what = (
        f'the selection of {pseudo.store.root} was matched to a labeled set of '
        f'{matched.instances} instances on {matched.images} images, training uses '
    )
    if uncounted:
        warn(
            f'{what}others ({_listed(counts, uncounted)}): whether it belongs to one '
            'of those that cannot be counted was not checked'
        )
        return
    raise StoreError(
        f'{what}another one of {_listed(counts, 0)}; select anew with '
        'tools/select_labels.py'
    )


def _listed(counts: Sequence[LabeledCounts], uncounted: int) -> str:
    listed = [f'{each.instances} on {each.images}' for each in counts]
    if uncounted:
        listed.append(f'{uncounted} without an annotation file to count')
    return ' and '.join(listed)


def log_label_mix(
    labeled: Sequence[Any],
    pseudo: Sequence[PseudoSource],
    batches: Any,
    iterations: int,
) -> dict[str, float]:
    """Log what the student sees and how often, and what it was chosen by.

    Args:
        labeled: The labeled data sets.
        pseudo: Those of pseudo-labels.
        batches: The batch sampler.
        iterations: Length of the training.

    Returns:
        The figures, see `mix_scalars`.
    """
    mix = mix_scalars(labeled, pseudo, batches)
    images = has_image_samples(pseudo)
    sides = ['', '']
    if images:
        sides = [f' on {sum(map(len, side))} images' for side in (labeled, pseudo)]
    keypoints = mix.get('mix/visible_keypoints')
    visible = '' if keypoints is None else f' with {keypoints} visible keypoints'
    share = f'{mix["mix/labeled_share"]:.3f} of the samples are labeled, by chance'
    if isinstance(batches, MixedRatioBatchSampler):
        stated = not batches.is_balanced
        reason = 'as stated' if stated else 'from the sizes of both sets'
        share = (
            f'{batches.num_labeled} of {batches.batch_size} '
            f'{"images " if images else ""}in a batch are labeled '
            f'({mix["mix/labeled_share"]:.3f}, {reason}); '
            f'{_format_passes(labeled, pseudo, batches, iterations)}'
        )
    print_log(
        f'the student sees {mix["mix/labeled_instances"]} labeled instances{sides[0]} '
        f'and {mix["mix/pseudo_labels"]} pseudo-labels{sides[1]}{visible}; {share}',
        logger='current',
    )
    for source in pseudo:
        print_log(
            f'pseudo-labels of {source.store.root}: {summarize(source.selection)}',
            logger='current',
        )
    log_weights(pseudo)
    return mix


def _format_passes(
    labeled: Sequence[Any],
    pseudo: Sequence[PseudoSource],
    batches: MixedRatioBatchSampler,
    iterations: int,
) -> str:
    """State how often a sample comes: a small labeled set is soon learned by heart."""
    first = batches.first_finishing
    mixed = iterations if first is None else min(first, iterations)
    num_labeled, size = batches.num_labeled, batches.batch_size
    drawn = (
        mixed * num_labeled + (iterations - mixed) * size,
        mixed * (size - num_labeled),
    )
    labeled_passes, pseudo_passes = (
        count * batches.world_size / sum(map(len, sources))
        for count, sources in zip(drawn, (labeled, pseudo), strict=True)
    )
    finish = (
        f'from iteration {mixed} on all are labeled; ' if mixed < iterations else ''
    )
    sample, other = 'labeled instance', 'pseudo-label'
    if has_image_samples(pseudo):
        sample, other = 'labeled image', 'pseudo-labeled one'
    return (
        f'{finish}in {iterations} iterations each {sample} comes '
        f'{labeled_passes:.1f} times and each {other} {pseudo_passes:.1f} times'
    )


MIX = 'mmdistill/mix'
"""Key of what the student sees, in the message hub and so in every checkpoint."""


def warn_if_mix_changed(
    message_hub: MessageHub,
    labeled: Sequence[Any],
    pseudo: Sequence[PseudoSource],
) -> None:
    """Warn where a training is resumed on other samples, and note those of now.

    Labels may be selected anew between two runs of a training; the second one does
    not draw then what a training that was never stopped would have drawn.

    Args:
        message_hub: The runner's; that of the checkpoint where a training is resumed.
        labeled: The labeled data sets.
        pseudo: Those of pseudo-labels.
    """
    name = 'images' if has_image_samples(pseudo) else 'instances'
    mix = [f'{len(source)} labeled {name}' for source in labeled]
    # The folder's name alone: a store that was moved is still the same.
    mix += [f'{each.store.root.name}: {summarize(each.selection)}' for each in pseudo]
    mix += weight_notes(pseudo)
    before = message_hub.get_info(MIX, mix)
    if before != mix:
        warn(
            'the samples are others than those this training began with, so it is not '
            'that of a run that was never stopped: '
            f'{_other_than(before, mix)} before, {_other_than(mix, before)} now'
        )
    message_hub.update_info(MIX, mix)


def _other_than(these: Sequence[str], those: Sequence[str]) -> str:
    return ' and '.join(each for each in these if each not in those) or 'nothing'
