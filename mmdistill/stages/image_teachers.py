"""Teachers that find the instances of an image themselves, in the config of stage 1.

They take whole images and no boxes, so settings about boxes and crops are refused
beside them, each by a sentence that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import ViewsConfig, is_type, stated
from mmdistill.errors import ConfigError

IMAGE_VIEWS = (
    *('flip', 'resolutions', 'match_thr'),
    *('size_dependent', 'small_area', 'large_area'),
    *('forward_batch_size', 'channels_last', 'fold_batch_norm', 'precision'),
    *('adaptive', 'adaptive_groups'),
)
"""Settings of `distill.views` that `PoseFinder` takes."""
RESCALES = 'BottomupRandomChoiceResize'
RESIZES = ('BottomupResize', RESCALES)
"""Transforms that make network inputs of whole images."""
OF_CROPS = {
    'scales': 'state them as distill.views.resolutions, with distill.views.scales=(1,)',
    'aspect_ratios': 'leave them out',
    'rotations': 'leave them out',
    'fusion_resolution': 'leave it out',
}
"""Settings that are about crops of instances, with the way on."""
OF_INSTANCES = {
    'fusion': "poses are fused by their mean; state 'mean'",
    'compile': 'its inputs have many sizes; leave it out',
    'offload': 'teachers that find instances stay on the device; leave it out',
}
"""Settings that need instances before the first view, or are not supported."""


def are_finders(models: Sequence[Mapping[str, Any]]) -> bool:
    """Whether models find the instances of an image themselves.

    Args:
        models: Configs of the models that are fused, at least one.

    Raises:
        ConfigError: If some do and some need boxes.
    """
    # The models of MMPose take seconds to import, which choosing labels need not.
    from mmdistill.models.finders.build import finds_instances

    found = [finds_instances(model) for model in models]
    if any(found) and not all(found):
        finder = models[found.index(True)]
        raise ConfigError(
            f'{head_name(finder)} finds instances itself and '
            f'{head_name(models[found.index(False)])} needs boxes: they cannot be '
            'fused with each other; name teachers of one kind in distill.teacher'
        )
    return all(found)


def head_name(model: Mapping[str, Any]) -> str:
    """Name of a model in a message: the class of its head.

    Args:
        model: Config of a model.
    """
    return str((model.get('head') or model).get('type')).rpartition('.')[2]


def resize_settings(pipeline: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Read how a test pipeline makes network inputs of whole images.

    Args:
        pipeline: Configs of the transforms.
        name: The model, for messages.

    Returns:
        `input_size`, `resize_mode`, `size_factor`, `pad_val` and `backend` for
        `PoseFinder`, those that are stated.

    Raises:
        ConfigError: If no transform resizes, or it makes inputs that MMPose does not
            bring back exactly, or of several sizes.
    """
    step = next((step for step in pipeline if resizes(step)), None)
    if step is None:
        raise ConfigError(
            f'the test pipeline of {name} must have {" or ".join(RESIZES)}, which says '
            'how images become inputs, got '
            f'{[str(step.get("type")) for step in pipeline]}'
        )
    if is_type(step, RESCALES):
        return _rescale_settings(step, name)
    for option in ('use_udp', 'aug_scales'):
        if step.get(option):
            raise ConfigError(
                f'BottomupResize({option}={step[option]!r}) of {name} is not '
                'supported: MMPose does not bring its keypoints back to the image '
                'exactly; leave it out'
            )
    names = ('input_size', 'resize_mode', 'size_factor', 'pad_val')
    return {key: step[key] for key in names if key in step}


def resizes(step: Mapping[str, Any]) -> bool:
    """Whether a transform makes network inputs of whole images.

    Args:
        step: Its config.
    """
    return any(is_type(step, name) for name in RESIZES)


def _rescale_settings(step: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Settings of inputs that are images, each as large as the scale allows."""
    scales = step.get('scales')
    one = scales[0] if isinstance(scales, list) and len(scales) == 1 else scales
    sides = one if isinstance(one, (list, tuple)) else ()
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        raise ConfigError(
            f'{RESCALES} of the test pipeline of {name} must have one scale of two '
            f'sides, as scales=[(800, 1333)], got scales={scales!r}'
        )
    if not step.get('keep_ratio', False):
        raise ConfigError(
            f'{RESCALES} of the test pipeline of {name} must have keep_ratio=True, '
            f'since views keep the shape of the image, got '
            f'{step.get("keep_ratio", False)!r}'
        )
    return dict(
        input_size=tuple(sides),
        resize_mode='rescale',
        size_factor=1,
        backend=step.get('backend', 'cv2'),
    )


def image_views(views: ViewsConfig, name: str) -> dict[str, Any]:
    """Arguments of `PoseFinder` about its views.

    Args:
        views: The views.
        name: The model, for messages.

    Raises:
        ConfigError: If they state what whole images do not have.
    """
    own = stated(views)
    for option, way_on in OF_CROPS.items():
        if option in own:
            raise ConfigError(
                f'distill.views.{option} is about crops of instances, and {name} sees '
                f'whole images, got {own[option]!r}; {way_on}'
            )
    for option, way_on in OF_INSTANCES.items():
        if option in own:
            raise ConfigError(
                f'distill.views.{option}={own[option]!r} does not suit {name}, which '
                f'finds instances itself: {way_on}'
            )
    return {option: own[option] for option in IMAGE_VIEWS if option in own}


def check_crop_views(views: ViewsConfig) -> None:
    """Refuse a setting that is about whole images where crops are shown.

    Args:
        views: The views.

    Raises:
        ConfigError: If one is stated.
    """
    if 'match_thr' in stated(views):
        raise ConfigError(
            f'distill.views.match_thr={views.match_thr!r} matches poses of teachers '
            'that find instances themselves, and this one takes boxes; leave it out'
        )


def check_image_teachers(recipe: Recipe, models: Sequence[Mapping[str, Any]]) -> None:
    """Refuse teachers that find instances themselves, or boxes beside them.

    Args:
        recipe: The recipe.
        models: Configs of its teachers.

    Raises:
        ConfigError: If no finder is known for a model, or the recipe states boxes, or
            how they are fitted.
    """
    for model in models:
        # The look-up refuses those that are not known.
        from mmdistill.models.finders.build import finder_class

        finder_class(model)
    name = head_name(models[0])
    distill = recipe.distill
    given = [f'unlabeled.{source}' for source in distill.unlabeled.box_sources]
    given += ['unlabeled.follow'] if distill.unlabeled.follow is not None else []
    options = stated(distill.unlabeled)
    given += [
        f'unlabeled.{name}' for name in ('category_ids', 'max_boxes') if name in options
    ]
    given += ['detector'] if distill.detector is not None else []
    given += [] if distill.labeling.refit_boxes is None else ['labeling.refit_boxes']
    if given:
        raise ConfigError(
            f'distill.{given[0]} is about boxes, and {name} finds the instances of an '
            'image itself; leave it out, or use a top-down teacher'
        )


def refit_arguments(
    recipe: Recipe, models: Sequence[Mapping[str, Any]]
) -> dict[str, bool]:
    """Arguments of `BoxFitHook` about boxes that are fitted around poses.

    Boxes that a teacher predicts stay; around the poses of one that predicts none they
    have the margins of the labeled set.

    Args:
        recipe: The recipe.
        models: Configs of its teachers, which are usable.
    """
    if not models or not are_finders(models):
        return recipe.distill.refit_arguments
    from mmdistill.models.finders.build import finder_class

    return dict(refit=not finder_class(models[0]).has_boxes, stated=True)
