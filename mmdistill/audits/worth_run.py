"""The measurement of what labels can be worth, between labeling and training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.logging import print_log

from mmdistill.audits.audited_set import (
    AuditedSet,
    audited_set,
    checked_annotations,
    images_trained_on,
    sampled_set,
    val_dataset,
)
from mmdistill.audits.candidates import (
    MatchedCandidates,
    match_candidates,
    pair_errors,
)
from mmdistill.audits.label_views import FLIP, SINGLE_VIEW, are_labeled, label_views
from mmdistill.audits.label_worth import (
    WORTH_FILE,
    LabelWorth,
    read_label_worth,
)
from mmdistill.audits.metrics import FUSED
from mmdistill.audits.run import audit_folder, read_unlabeled_selection, sigmas_of
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.cli.main import original_sentence
from mmdistill.config.detectors import distills_boxes
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import ViewsConfig
from mmdistill.engine.runner import release_memory
from mmdistill.errors import ConfigError, DataError, UserError
from mmdistill.functional.label_quality import PairedGain, mean_error, paired_gain
from mmdistill.selection.selection import read_selection
from mmdistill.stages.image_teachers import are_finders
from mmdistill.stages.label_config import label_store, teacher_models
from mmdistill.store import LabelStore
from mmdistill.store.manifest import identity, made_boxes
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.files import json_sha256, write_json
from mmdistill.utils.logging import warn

VERSION = 1
"""Version of the measurement; another one makes it anew."""


def report_label_worth(config: Config) -> LabelWorth | None:
    """Log what the labels of a config can be worth at most, before a student trains.

    At most `distill.worth_images` labeled images are labeled in a single view, with its
    mirror image and in all views, into label stores beside that of the config
    (`...-audit`); where an audit has labeled the whole set, all of it counts. A
    measurement that was stopped resumes, and one of the same labels and images is not
    repeated. The result is `label_worth.json` in the store of the config. Where nothing
    can be measured, a sentence says why; that is no error.

    Args:
        config: A config whose images are labeled and whose labels are selected.

    Returns:
        What was measured, on all processes; None where nothing was.
    """
    recipe = Recipe.of(config)
    if not recipe.distill.worth_images:
        return None
    start = time.monotonic()
    try:
        sample = run_on_rank_zero(lambda: _choose_images(recipe))
        worth = sample.known or _measure(recipe, sample)
    except UserError as error:
        print_log(
            f'what the labels can be worth is not measured: {original_sentence(error)}',
            logger='current',
        )
        return None
    finally:
        # Of the teacher, before the student needs it.
        release_memory()
    seconds = None if sample.known else time.monotonic() - start
    _log(worth, seconds)
    return worth


@dataclass(frozen=True)
class _Sample:
    """Labeled images on which labels are measured.

    Attributes:
        audited: The images.
        ann_file: The json that they are chosen from.
        listed: Number of images of that json.
        trained_on: Number of those that the teacher was trained on.
        made_by: Hash of what made the labels.
        known: What was measured of the same labels on the same images before.
    """

    audited: AuditedSet
    ann_file: str
    listed: int
    trained_on: int
    made_by: str
    known: LabelWorth | None


def _choose_images(recipe: Recipe) -> _Sample:
    """Choose the images to measure on, and look for an earlier measurement."""
    config, num = recipe.config, recipe.distill.worth_images
    assert num
    if recipe.distill.audit is None and val_dataset(config, required=False) is None:
        raise ConfigError(
            f'{config.filename} has no single validation set with annotations (or '
            '--no-validate leaves it out); name labeled images that the teacher was '
            'not trained on in distill.audit'
        )
    chosen_from = audited_set(recipe)
    trained_on = images_trained_on(recipe, chosen_from)
    listed = len(chosen_from.images)
    if len(trained_on) == listed:
        raise DataError(
            f'the teacher was trained on the images of {chosen_from.ann_file}, its '
            'labels there are better than elsewhere; name others in distill.audit'
        )
    checked = checked_annotations(recipe, chosen_from)
    folder = audit_folder(recipe, checked)
    audited = checked
    if trained_on or not are_labeled(recipe, folder):
        samples = folder.parent / 'samples'
        audited = sampled_set(
            *(checked, num, trained_on, samples), distills_boxes(recipe)
        )
    made_by = label_digest(label_store(recipe))
    return _Sample(
        audited=audited,
        ann_file=str(chosen_from.ann_file),
        listed=listed,
        trained_on=len(trained_on),
        made_by=made_by,
        known=_known(recipe, made_by, audited.name),
    )


def label_digest(store: LabelStore) -> str:
    """Hash what decides the labels of a store, but not of which images they are.

    Args:
        store: A complete store with a selection.

    Raises:
        UserError: If nothing is labeled or selected.
    """
    manifest, visible_from = store.manifest, read_selection(store).keypoint_thrs
    made = [VERSION, identity(manifest), made_boxes(manifest), visible_from]
    return json_sha256(made)


def _known(recipe: Recipe, made_by: str, measured_on: str) -> LabelWorth | None:
    """Read an earlier measurement of the same labels on the same images."""
    try:
        worth = read_label_worth(Path(recipe.distill.store))
    except DataError:  # it is made again
        return None
    if worth is None or (worth.made_by, worth.measured_on) != (made_by, measured_on):
        return None
    return replace(worth, advice=_advice(recipe, worth.gain, worth.gain_over_flip))


def _measure(recipe: Recipe, sample: _Sample) -> LabelWorth:
    """Label the images in all views, on all processes, and compare with the truth."""
    audited = sample.audited
    stores, boxes = label_views(recipe, audited, audit_folder(recipe, audited))
    barrier()

    def compare() -> LabelWorth:
        selection = read_unlabeled_selection(recipe)
        matched = {
            name: match_candidates(
                store, audited.ann_file, sigmas_of(recipe), selection
            )
            for name, store in stores.items()
        }
        worth = _worth(recipe, sample, boxes, matched, selection)
        write_json(Path(recipe.distill.store, WORTH_FILE), worth.to_json())
        return worth

    return run_on_rank_zero(compare)


def _worth(
    recipe: Recipe,
    sample: _Sample,
    boxes: str,
    matched: Mapping[str, MatchedCandidates],
    unlabeled_selection: UnlabeledSelection,
) -> LabelWorth:
    """Compare the views over the pairs and keypoints that all have in common."""
    errors = pair_errors(matched, unlabeled_selection.selection)
    fused = errors.by_view[FUSED]
    gain, gain_over_flip = (
        paired_gain(errors.by_view[name], fused, errors.paths)
        for name in (SINGLE_VIEW, FLIP)
    )
    return LabelWorth(
        ann_file=sample.ann_file,
        boxes=boxes,
        images=matched[FUSED].images,
        listed=sample.listed,
        trained_on=sample.trained_on,
        keypoints=int((~np.isnan(fused)).sum()),
        teachers=len(recipe.distill.teachers),
        errors={name: mean_error(values) for name, values in errors.by_view.items()},
        precision={
            name: candidates.mean_average_precision()
            for name, candidates in matched.items()
        },
        gain=gain,
        gain_over_flip=gain_over_flip,
        advice=_advice(recipe, gain, gain_over_flip),
        made_by=sample.made_by,
        measured_on=sample.audited.name,
        of_boxes=distills_boxes(recipe),
        of_another_model=any(t.config is not None for t in recipe.distill.teachers),
    )


def _advice(
    recipe: Recipe, gain: PairedGain, gain_over_flip: PairedGain
) -> tuple[str, ...]:
    """List what to try next, the most promising first, by what was measured.

    Views come first where those beyond the mirror image gain for certain, or where
    there are none; where there are and they gain nothing, the teacher's errors are the
    same in all of them, and only another teacher or noise makes others.
    """
    if distills_boxes(recipe):
        few = len(recipe.distill.views.scales) < 3
        scales = [f'{"more" if few else "other"} scales (distill.views.scales)']
        return (*scales, 'another teacher (distill.teacher)')
    distill, models = recipe.distill, teacher_models(recipe)
    found = bool(models) and are_finders(models)
    views = _further_views(distill.views, found)
    rounds = distill.rounds is None and not found
    others = ['rounds (distill.rounds)'] if rounds else []
    if distill.noise is None:
        others.insert(0, 'noise for the student (distill.noise)')
    if len(distill.teachers) == 1:
        others.insert(0, 'several teachers (a list in distill.teacher)')
    if gain.share < 0 and gain.is_clear:
        return ('views that change less (distill.views)', *others)
    none_beyond_flip = gain_over_flip == PairedGain(0.0, 0.0)
    views_help = gain_over_flip.share > 0 and gain_over_flip.is_clear
    return (*views, *others) if views_help or none_beyond_flip else (*others, *views)


def _further_views(views: ViewsConfig, found: bool) -> list[str]:
    """Kinds of views that the section does not state, and the teacher can have."""
    if found:
        few = len(views.resolutions) < 3
        return ['more resolutions (distill.views.resolutions)'] if few else []
    kinds = [
        ('more scales (distill.views.scales)', len(views.scales) < 3),
        ('rotations (distill.views.rotations)', not views.rotations),
        (
            'other resolutions, where the head allows them (distill.views.resolutions)',
            len(views.resolutions) == 1,
        ),
    ]
    return [text for text, missing in kinds if missing]


def _log(worth: LabelWorth, seconds: float | None) -> None:
    """Log what was measured, and warn where it is almost nothing."""
    cost = 'measured before' if seconds is None else f'{seconds:.0f} s'
    lines = [f'what the labels can be worth ({cost}): ', '']
    for start, sentence in zip(lines, worth.sentences(), strict=False):
        print_log(f'{start}{sentence}', logger='current')
    if worth.doubt():
        print_log(worth.doubt(), logger='current')
    if worth.warning():
        warn(worth.warning())
