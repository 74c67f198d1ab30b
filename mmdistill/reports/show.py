"""Pictures of what a training is about to see, written before it starts.

WORK_DIR/show/labels.png   pseudo-labels with their scores, and rejected candidates
WORK_DIR/show/views.png    the views of some, as the teachers see them
WORK_DIR/show/samples.png  samples of both kinds as the student gets them
"""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill import stages
from mmdistill.config.detectors import is_detector, is_joint
from mmdistill.config.recipe import Recipe, stated_store
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.engine.runner import release_memory
from mmdistill.errors import ConfigError
from mmdistill.models.finders.build import finds_instances
from mmdistill.reports.box_views import build_box_teacher
from mmdistill.reports.gallery import (
    StoredPictures,
    draw_labels,
    save_figure,
    shown_agreement,
)
from mmdistill.reports.sampling import choose_kept
from mmdistill.reports.skeleton import skeleton_of_config
from mmdistill.reports.teacher_views import build_teachers, draw_views
from mmdistill.reports.training_samples import draw_samples, first_samples
from mmdistill.stages.image_teachers import head_name
from mmdistill.stages.label_config import teacher_models
from mmdistill.utils.dist import run_on_rank_zero

FOLDER = 'show'
"""Folder of the pictures, in the work folder."""
MOST_VIEWED = 4
"""Maximum number of pseudo-labels whose views are drawn: each is many pictures."""


def show_training(config: Config, num: int) -> None:
    """Write pictures of what a training is about to see.

    Args:
        config: Any training config of a pose model or a detector. One with a `distill`
            section has its labels selected, and no rounds; others have samples alone.
        num: Number of pseudo-labels, and of samples of each kind.

    Raises:
        UserError: As `check_shown`, and if the labels are not selected or an image is
            missing.
    """
    check_shown(config, num)
    run_on_rank_zero(lambda: _show(config, num))
    # Of the teachers, before the student needs it.
    release_memory()


def check_shown(config: Config, num: int) -> None:
    """Refuse pictures that could not be drawn, before anything is labeled for them.

    Args:
        config: A training config.
        num: Number of pictures of a kind.

    Raises:
        UserError: If the number is not positive, no pose model and no detector is
            trained, or the student or a teacher of poses sees whole images.
    """
    if num < 1:
        raise ConfigError(f'there must be at least 1 sample to show, got {num}')
    if is_detector(config):
        return
    if 'distill' in config and is_joint(Recipe.of(config)):
        raise ConfigError(
            'distill.detector.distill is two trainings; leave out --show, and use '
            'tools/show.py for detector.py and poses.py of the work folder'
        )
    scope = config.get('default_scope') or 'mmpose'
    if scope != 'mmpose':
        raise ConfigError(
            'training samples are shown of pose models and of detectors, and '
            f'{config.filename} has the default_scope {scope}; leave out --show'
        )
    models = [config.model] if config.get('model') else []
    if 'distill' in config:
        models += teacher_models(Recipe.of(config))
    for model in filter(finds_instances, models):
        raise ConfigError(
            f'pictures are of crops of instances, and {head_name(model)} sees whole '
            'images; leave out --show'
        )


def pictures_folder(config: Config) -> Path:
    """Return the folder of the pictures; each of several rounds has its own.

    Args:
        config: A training config, or the recipe of a round.
    """
    root, store = Path(config.work_dir), stated_store(config)
    if store is not None and Path(store).parent.parent == root:
        return Path(store).with_name(FOLDER)
    return root / FOLDER


def _show(config: Config, num: int) -> None:
    folder = pictures_folder(config)
    if 'distill' in config:
        draw_labels(config, _said(folder / 'labels.png'), num)
        show_views(config, _said(folder / 'views.png'), min(num, MOST_VIEWED))
    training = stages.training_config(config)
    samples = first_samples(training, num)
    figure = draw_samples(samples, skeleton_of_config(config))
    save_figure(figure, _said(folder / 'samples.png'))


def show_views(config: Config, path: Path, num: int) -> None:
    """Draw pseudo-labels, each before the views that it was fused of.

    Args:
        config: A config with a `distill` section whose labels are selected.
        path: The picture to write.
        num: Number of pseudo-labels.

    Raises:
        UserError: If there are none, a teacher is missing or an image is.
    """
    stored = StoredPictures.of(config)
    candidates, selection = stored.candidates, stored.selection
    kept = selection.kept(candidates, stored.sources)
    chosen = choose_kept(candidates.instance_scores, kept, num)
    if not len(chosen):
        raise ConfigError(
            'no pseudo-label is kept whose views could be shown; choose others with '
            'tools/select_labels.py'
        )
    recipe = Recipe.of(with_read_annotations(config, images=False)[0])
    reader = (build_box_teacher if is_detector(config) else build_teachers)(recipe)
    instances = []
    for index in map(int, chosen):
        candidate = candidates[index]
        agreement = shown_agreement(
            candidate, selection.visible(candidate.keypoint_scores)
        )
        instances.append(reader.look(stored.image_of(index), candidate, agreement))
    save_figure(draw_views(instances, stored.skeleton, selection.visible), path)


def _said(path: Path) -> Path:
    print_log(f'drawing {path}', logger='current')
    return path
