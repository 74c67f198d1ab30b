"""A detector whose checkpoint or classes do not fit finds nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdistill.engine.fitting_weights import load_fitting
from mmdistill.errors import UserError
from mmdistill.functional.category_ids import category_ids
from mmdistill.labels.files import read_json
from mmdistill.ranks import tell_all
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class DetectorGuardHook(Hook):
    """Refuse a detector that is not wholly loaded, and tell it which classes count.

    Names of classes are those that the checkpoint records, as MMDetection takes them.

    Args:
        classes: Names of the classes where the checkpoint records none.
        categories: The classes that count, or a mapping that states the ids of their
            boxes; all by default.
        labeled_file: COCO json of the labelled set, which has the ids of categories;
            several of a set made of several, of which the first to name one counts.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        classes: Sequence[str] = (),
        categories: Sequence[str] | Mapping[str, int] | None = None,
        labeled_file: str | Sequence[str] = '',
    ) -> None:
        self.classes = classes
        self.categories = categories
        self.labeled_file = labeled_file
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
        weights = load_fitting(_model(runner).module, checkpoint, 'detector')
        self.classes = _recorded_classes(checkpoint) or self.classes
        if isinstance(checkpoint, dict):
            # The host loads it once more, and would list all that is left out.
            checkpoint['state_dict'] = weights
        self._loaded = True

    def before_test(self, runner: Runner) -> None:
        """Tell the detector which of its classes count.

        Args:
            runner: The runner of the detecting stage.

        Raises:
            UserError: If no checkpoint was loaded, the names are not as many as the
                detector's outputs, or a category that counts is not among them.
        """
        if not self._loaded:
            raise UserError(
                'a detector needs its trained weights: give '
                'distill.detector.checkpoint (load_from), got none'
            )
        model = _model(runner)
        classes, wanted = self.classes, self.categories
        for outputs in _num_classes(model.module) - {len(classes)}:
            raise UserError(
                f'the detector has {outputs} classes, and its checkpoint or else the '
                f'metainfo of the test data set of its config {len(classes)} names'
            )
        ids = tell_all(lambda: category_ids(classes, wanted, self._labeled()))
        model.look_for(classes, ids)

    def _labeled(self) -> dict[str, int]:
        if isinstance(self.categories, Mapping):
            return {}
        files = self.labeled_file
        ids: dict[str, int] = {}
        for path in map(Path, [files] if isinstance(files, str) else files):
            if path.suffix == '.json':
                content = read_json(path, 'the labelled set')
                listed = isinstance(content, dict) and content.get('categories')
                ids = {each['name']: each['id'] for each in listed or ()} | ids
        return ids


def _model(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _recorded_classes(checkpoint: Any) -> Sequence[str]:
    """Names of classes in a checkpoint of MMDetection, of 3.x or older."""
    meta = checkpoint.get('meta') or {}
    recorded = {**meta, **(meta.get('dataset_meta') or {})}
    return {str(key).lower(): value for key, value in recorded.items()}.get(
        'classes', ()
    )


def _num_classes(detector: nn.Module) -> set[int]:
    """Outputs of the heads that say what a box is."""
    return {
        module.num_classes
        for name, module in detector.named_modules()
        if 'bbox_head' in name.split('.')[-2:] and hasattr(module, 'num_classes')
    }
