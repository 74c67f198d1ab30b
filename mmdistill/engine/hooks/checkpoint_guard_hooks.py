"""Hooks that refuse a teacher or a detector whose checkpoint does not fit it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdistill.config.metainfo import in_number_order
from mmdistill.config.schema import is_type
from mmdistill.engine import checkpoint as _loaders  # noqa: F401  (registers them)
from mmdistill.engine.checkpoint import TESTED, load_checkpoint_strict
from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import CheckpointError, DataError
from mmdistill.models.box_detector import category_ids
from mmdistill.registry import HOOKS
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.files import read_json

if TYPE_CHECKING:
    from mmengine.runner import Runner


def check_keypoint_count(model: Any, labeled: int) -> None:
    """Make sure that a teacher gives out as many keypoints as the labels have.

    Args:
        model: The fusing wrapper of the teacher.
        labeled: Keypoints of the labeled set.

    Raises:
        UserError: If it gives out another number.
    """
    predicted = model.num_keypoints
    if predicted != labeled:
        raise CheckpointError(
            f'the teacher predicts {predicted} keypoints, the labeled set has {labeled}'
        )


def check_keypoint_names(
    checkpoint: Mapping[str, Any],
    wanted: Sequence[str] | None,
    kept: Sequence[int] | None = None,
) -> None:
    """Make sure that a teacher was trained on the keypoints of the labels.

    Args:
        checkpoint: The teacher's checkpoint; one that records no names passes.
        wanted: Names of the labels' keypoints, (K,); None if they are not known.
        kept: Numbers of the keypoints that the teacher returns; None for all.

    Raises:
        UserError: If it records other names.
    """
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    names = meta.get('keypoint_id2name')
    if names is None or wanted is None:
        return
    recorded = list(in_number_order(names).values())
    returned = recorded
    if kept is not None and len(kept) and max(kept) < len(recorded):
        returned = [recorded[number] for number in kept]
    # Names of the labels where a model of several sets records those of its test set.
    if list(wanted) not in (recorded, returned):
        raise CheckpointError(
            f'the teacher checkpoint was trained on the keypoints {recorded}, '
            f'the labeled set has {list(wanted)}{_output_advice(recorded, wanted)}'
        )


def _output_advice(recorded: Sequence[str], wanted: Sequence[str]) -> str:
    """Advise how a teacher that has all keypoints of the labels returns those."""
    if not set(wanted) <= set(recorded):
        return ''
    numbers = [recorded.index(name) for name in wanted]
    return (
        '; let it return those with '
        f'model.test_cfg=dict(output_keypoint_indices={numbers}) in its config'
    )


def check_teacher(stage: Config) -> None:
    """Compare a teacher with its checkpoint, before any unlabeled image is looked for.

    Args:
        stage: The config of stage 1; checkpoints that are not files of this machine
            are left to the run itself.

    Raises:
        UserError: If the checkpoint does not fit the teacher, or the teacher's
            keypoints are not those of the labels.
    """
    guard, first = _guard_of(stage), str(stage.load_from)
    if not any(map(_is_local, [first, *guard.ensemble])):
        return
    init_default_scope(stage.get('default_scope') or 'mmpose')
    model = MODELS.build(copy.deepcopy(stage.model))
    if _is_local(first):
        checkpoint = CheckpointLoader.load_checkpoint(first, map_location='cpu')
        guard.check_names(checkpoint, model.output_indices)
        load_checkpoint_strict(model.module, checkpoint)
    guard.load_ensemble(model, _is_local)
    check_keypoint_count(model, len(guard.keypoint_names or ()))


def load_teachers(stage: Config, model: Any) -> bool:
    """Load the teachers of a stage whose checkpoints are all files of this machine.

    Args:
        stage: The config of stage 1.
        model: The fusing wrapper, built of it.

    Returns:
        Whether they were loaded; else their weights are random.

    Raises:
        CheckpointError: If a checkpoint cannot be read or does not fit.
    """
    guard = _guard_of(stage)
    if not all(map(_is_local, [stage.load_from, *guard.ensemble])):
        return False
    weights = CheckpointLoader.load_checkpoint(stage.load_from, map_location='cpu')
    load_checkpoint_strict(model.module, weights)
    guard.load_ensemble(model)
    return True


def _is_local(checkpoint: str | None) -> bool:
    """Whether a checkpoint is a file of this machine, not an address."""
    return bool(checkpoint) and Path(str(checkpoint)).is_file()


def _guard_of(stage: Config) -> TeacherGuardHook:
    hook = next(
        each for each in stage.custom_hooks if is_type(each, 'TeacherGuardHook')
    )
    return TeacherGuardHook(**{k: v for k, v in hook.items() if k != 'type'})


@HOOKS.register_module()
class TeacherGuardHook(Hook):
    """Refuse a teacher that is not wholly loaded from its checkpoint.

    MMEngine only warns when keys are missing, and goes on with random weights.

    The runner loads one checkpoint; those of the further models of an ensemble are
    loaded here.

    Args:
        keypoint_names: Keypoints that the labels shall have. A checkpoint that
            records others is refused.
        role: 'teacher', or 'tested' where a model is evaluated.
        ensemble: Checkpoints of the further models, in their order.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        keypoint_names: Sequence[str] | None = None,
        role: str = 'teacher',
        ensemble: Sequence[str] = (),
    ) -> None:
        self.keypoint_names = keypoint_names
        self.role = role
        self.ensemble = ensemble
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the model, key by key.

        Args:
            runner: The runner; its model is the fusing wrapper of the teacher.
            checkpoint: What was loaded.

        Raises:
            UserError: If a weight is missing or of another shape, or the checkpoint
                is of another network or records other keypoints.
        """
        model = unwrap_model(runner.model)
        self.check_names(checkpoint, model.output_indices)
        weights = load_checkpoint_strict(model.module, checkpoint, self.role)
        if isinstance(checkpoint, dict):
            # The host loads it once more, and would list all that is left out.
            checkpoint['state_dict'] = weights
        self.load_ensemble(model)
        self._loaded = True

    def check_names(self, checkpoint: Any, kept: Sequence[int] | None) -> None:
        """Compare the keypoints that a teacher's checkpoint records with the labels'.

        Args:
            checkpoint: The content of its file.
            kept: Numbers of the keypoints that the teacher returns; None for all.

        Raises:
            CheckpointError: If it records other keypoints.
        """
        if isinstance(checkpoint, dict):
            check_keypoint_names(checkpoint, self.keypoint_names, kept)

    def load_ensemble(
        self, model: Any, is_loaded: Callable[[str], bool] = bool
    ) -> None:
        """Load the further models of an ensemble, each checked as the first one.

        Args:
            model: The fusing wrapper.
            is_loaded: Function that says whether a checkpoint is; by default each is.

        Raises:
            CheckpointError: If a checkpoint cannot be read, does not fit or records
                other keypoints; it says which one.
        """
        teachers = zip(model.teachers[1:], self.ensemble, strict=True)
        for i, (teacher, path) in enumerate(teachers, start=1):
            if not is_loaded(path):
                continue
            # A model that is evaluated is not named by a recipe.
            name = path if self.role == TESTED else f'distill.teacher[{i}], {path}'
            try:
                checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
                self.check_names(checkpoint, teacher.kept)
                load_checkpoint_strict(teacher.module, checkpoint, self.role)
            except CheckpointError as error:
                raise CheckpointError(f'{name}: {error}') from error

    def before_test(self, runner: Runner) -> None:
        """Make sure that a checkpoint was loaded at all.

        Args:
            runner: The runner.

        Raises:
            UserError: If none was, or the model has another number of keypoints.
        """
        if not self._loaded:
            raise CheckpointError(
                'a teacher needs its trained weights: give distill.teacher.checkpoint '
                '(load_from), got none'
            )
        model = unwrap_model(runner.model)
        if self.keypoint_names is not None:
            check_keypoint_count(model, len(self.keypoint_names))


@HOOKS.register_module()
class DetectorGuardHook(Hook):
    """Refuse a detector that is not wholly loaded, and set which classes count.

    Names of classes are those that the checkpoint records, as MMDetection takes them.

    Args:
        classes: Names of the classes where the checkpoint records none.
        categories: The classes that count, or a mapping that states the ids of their
            boxes; all by default.
        labeled_file: COCO json of the labeled set, which has the ids of categories;
            several of a set made of several, of which the first to name one counts.
        labeled_classes: Classes of a student that trains on the boxes, which are then
            those that count; a single one of both may have two names.
        role: 'detector', or 'teacher' where the boxes are the labels of a student.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        classes: Sequence[str] = (),
        categories: Sequence[str] | Mapping[str, int] | None = None,
        labeled_file: str | Sequence[str] = '',
        labeled_classes: Sequence[str] = (),
        role: str = 'detector',
    ) -> None:
        self.classes = classes
        self.categories = categories
        self.labeled_file = labeled_file
        self.labeled_classes = labeled_classes
        self.role = role
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the model, key by key.

        Args:
            runner: The runner; its model is a `BoxDetector`.
            checkpoint: What was loaded.

        Raises:
            UserError: If a weight is missing or of another shape, or the checkpoint
                is of another network.
        """
        self.check(unwrap_model(runner.model), checkpoint)

    def check(self, model: Any, checkpoint: Any) -> None:
        """Load a checkpoint into a detector, key by key, and take its classes.

        Args:
            model: A `BoxDetector`.
            checkpoint: The content of its file.

        Raises:
            UserError: If a weight is missing or of another shape, or the checkpoint
                is of another network.
        """
        weights = load_checkpoint_strict(model.module, checkpoint, self.role)
        self.classes = _recorded_classes(checkpoint) or self.classes
        if isinstance(checkpoint, dict):
            # The host loads it once more, and would list all that is left out.
            checkpoint['state_dict'] = weights
        self._loaded = True

    def before_test(self, runner: Runner) -> None:
        """Set which classes of the detector count.

        Args:
            runner: The runner of the detecting stage.

        Raises:
            UserError: If no checkpoint was loaded, the names are not as many as the
                detector's outputs, or a category that counts is not among them.
        """
        if not self._loaded:
            raise CheckpointError(
                f'a {self.role} needs its trained weights: give '
                f'distill.{self.role}.checkpoint (load_from), got none'
            )
        self.set_classes(unwrap_model(runner.model))

    def set_classes(self, model: Any) -> None:
        """Set which classes of a detector count, and the ids of their boxes.

        Args:
            model: A `BoxDetector`.

        Raises:
            UserError: If the names are not as many as the detector's outputs, or a
                category that counts is not among them.
        """
        classes, wanted = self.classes, self.categories
        if self.labeled_classes:
            wanted = shared_classes(classes, self.labeled_classes)
        for outputs in _num_classes(model.module) - {len(classes)}:
            raise CheckpointError(
                f'the {self.role} has {outputs} classes, and its checkpoint or else '
                f'the metainfo of the test data set of its config {len(classes)} names'
            )
        ids = run_on_rank_zero(lambda: category_ids(classes, wanted, self._labeled()))
        model.set_classes(classes, ids)

    def _labeled(self) -> dict[str, int]:
        if isinstance(self.categories, Mapping):
            return {}
        files = self.labeled_file
        ids: dict[str, int] = {}
        for path in map(Path, [files] if isinstance(files, str) else files):
            if path.suffix == '.json':
                content = read_json(path, 'the labeled set')
                listed = isinstance(content, dict) and content.get('categories')
                check_class_order(self.labeled_classes, listed or (), path)
                ids = {each['name']: each['id'] for each in listed or ()} | ids
        # A set without ids is counted by the numbers of its classes.
        return ids or {name: n for n, name in enumerate(self.labeled_classes, 1)}


def shared_classes(classes: Sequence[str], labeled: Sequence[str]) -> Sequence[str]:
    """Name the classes of a teacher that a student trains on.

    Args:
        classes: Names of the teacher's classes.
        labeled: Those of the student's labeled set.

    Returns:
        The student's classes, or the teacher's only one where each has one.

    Raises:
        CheckpointError: If the teacher lacks one of them.
    """
    if len(classes) == len(labeled) == 1:
        return list(classes)
    lacking = [name for name in labeled if name not in classes]
    if lacking:
        raise CheckpointError(
            f'the teacher has the classes {", ".join(classes)}, and the labeled set '
            f'trains {", ".join(lacking)}, which it would never label; name a teacher '
            'that has them, or the classes to train as metainfo=dict(classes=...) of '
            'the labeled set'
        )
    return list(labeled)


def check_class_order(
    classes: Sequence[str], categories: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """Make sure that MMDetection numbers classes as they are named.

    It numbers the categories of a json in their order there, whatever the order of the
    classes that a data set states.

    Args:
        classes: Classes of the labeled set; nothing is checked without any.
        categories: Categories of its json.
        path: The json.

    Raises:
        DataError: If both stand in another order, or the json lacks a class.
    """
    if not classes:
        return
    listed = [each['name'] for each in categories if each['name'] in classes]
    if listed != list(classes):
        raise DataError(
            f'the classes of the labeled set must be in {path} in the same order, '
            'since MMDetection numbers them in that of the json: they are '
            f'{", ".join(classes)}, and there {", ".join(listed) or "none of them"}'
        )


def _recorded_classes(checkpoint: Any) -> Sequence[str]:
    """Names of classes in a checkpoint of MMDetection, of 3.x or older."""
    meta = checkpoint.get('meta') or {}
    recorded = {**meta, **(meta.get('dataset_meta') or {})}
    return {str(key).lower(): value for key, value in recorded.items()}.get(
        'classes', ()
    )


def _num_classes(detector: nn.Module) -> set[int]:
    """Outputs of the heads that say what a box is."""
    # A box head that sees all classes as one has no number of them.
    return {
        module.num_classes
        for name, module in detector.named_modules()
        if 'bbox_head' in name.split('.')[-2:] and hasattr(module, 'num_classes')
    }
