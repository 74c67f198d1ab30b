"""Hook that switches pipelines and attributes of the model at epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpose.utils.hooks import rgetattr, rsetattr

from mmdistill.datasets.pseudo_sources import MixedImages
from mmdistill.engine.hooks.pipeline_switch_hook import pipeline_owners
from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import ConfigError
from mmdistill.registry import HOOKS
from mmdistill.utils.dataset_members import Concatenation, Wrapper


@HOOKS.register_module()
class SourceModeSwitchHook(Hook):
    """Switch a training to its last epochs, and attributes of its model at others.

    Takes the place of MMPose's `YOLOXPoseModeSwitchHook` and `RTMOModeSwitchHook` and
    of MMDetection's `YOLOXModeSwitchHook`, which build the loader anew from its config,
    set the pipeline of the wrapper around several sources, or act in the very epoch
    alone, which a training that is resumed later never sees. Here every source
    switches, and what holds in an epoch follows from its number. Workers must not be
    persistent: they would keep the pipeline they started with.

    Args:
        num_last_epochs: Number of last epochs with another pipeline and
            `last_attributes`; as in the hosts' hooks the switch comes an epoch before
            them. 0 for none.
        new_train_pipeline: Configs of the transforms of those epochs; None for no
            change.
        skip_type_keys: Types of transforms that a `MultiImageMixDataset` leaves out in
            those epochs.
        last_attributes: Attributes of the model in those epochs, by dotted name.
        epoch_attributes: Attributes of the model from an epoch on, by its number, from
            0.

    Raises:
        UserError: If the training counts no epochs or the model has no such attribute.
    """

    def __init__(
        self,
        num_last_epochs: int = 0,
        new_train_pipeline: Sequence[dict] | None = None,
        skip_type_keys: Sequence[str] | None = None,
        last_attributes: Mapping[str, Any] | None = None,
        epoch_attributes: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        self.num_last_epochs = num_last_epochs
        self.new_train_pipeline = new_train_pipeline
        self.skip_type_keys = skip_type_keys
        self.last_attributes = dict(last_attributes or {})
        self.epoch_attributes = dict(epoch_attributes or {})
        self._held: dict[str, Any] = {}
        self._switched = False

    def before_train(self, runner: Runner) -> None:
        """Check that the training counts epochs and the model has the attributes.

        Args:
            runner: The runner of the training stage.

        Raises:
            UserError: If not.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ConfigError(
                'SourceModeSwitchHook counts epochs, and the training loop is a '
                f'{type(runner.train_loop).__name__}; state train_cfg.max_epochs, or '
                'leave the hook out'
            )
        model = unwrap_model(runner.model)
        changes = [self.last_attributes, *self.epoch_attributes.values()]
        for name in {name for attributes in changes for name in attributes}:
            try:
                rgetattr(model, name)
            except AttributeError as error:
                raise ConfigError(
                    f'SourceModeSwitchHook would set {name} of the model, and {error}'
                ) from error

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch to what holds in the epoch, whatever was trained before it.

        Args:
            runner: The runner of the training stage.
        """
        epoch = runner.epoch
        holds = {
            name: value
            for start in sorted(self.epoch_attributes)
            if start <= epoch
            for name, value in self.epoch_attributes[start].items()
        }
        # As the hosts' hooks: an epoch before the last ones.
        if (
            self.num_last_epochs
            and epoch + 1 >= runner.max_epochs - self.num_last_epochs
        ):
            holds.update(self.last_attributes)
            self._switch_sources(runner)
        model = unwrap_model(runner.model)
        for name, value in holds.items():
            if name not in self._held or self._held[name] != value:
                rsetattr(model, name, value)
                print_log(f'{name} is {value} from epoch {epoch} on', logger='current')
        self._held = holds

    def _switch_sources(self, runner: Runner) -> None:
        """Switch the pipelines of all sources, once."""
        if self._switched:
            return
        self._switched = True
        dataset = runner.train_dataloader.dataset
        if self.new_train_pipeline is not None:
            for source in pipeline_owners(dataset):
                source.pipeline = Compose(self.new_train_pipeline)
        if self.skip_type_keys is not None:
            for source in _mixing_sets(dataset):
                source.update_skip_type_keys(self.skip_type_keys)
        print_log(
            f'the pipelines switch to those of the last epochs at epoch {runner.epoch}',
            logger='current',
        )


def _mixing_sets(dataset: Any) -> Iterator[MixedImages]:
    """Iterate over the data sets that mix images."""
    if isinstance(dataset, MixedImages):
        yield dataset
    elif isinstance(dataset, Wrapper):
        yield from _mixing_sets(dataset.dataset)
    elif isinstance(dataset, Concatenation):
        for source in dataset.datasets:
            yield from _mixing_sets(source)
