"""Loop of the detect stage: it streams a detector's boxes to a detection store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import mmdet
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from mmdistill.config.schema import LabelingConfig
from mmdistill.engine.loops.rows import boxes_to_row
from mmdistill.engine.loops.store_loop import StoreLoop
from mmdistill.engine.loops.store_manifest import VERSIONS, weights_sha256
from mmdistill.errors import ConfigError
from mmdistill.registry import LOOPS
from mmdistill.store import ImageRow, LabelStore
from mmdistill.store.manifest import BOX_LABELS, DETECTIONS
from mmdistill.utils.files import json_sha256

IGNORED_KEYS = ('_scope_', 'init_cfg', 'train_cfg')
"""Keys of a config that concern training or registry scopes, not the boxes."""


@LOOPS.register_module()
class DetectLoop(StoreLoop):
    """Detect the boxes of every image of the data set, into a detection store.

    Args:
        runner: The runner; its model is a `BoxDetector`.
        dataloader: Config of the loader, with a `DetectionDataset`.
        evaluator: Not used; MMEngine passes it to every test loop.
        boxes: Folder of the detection store.
        chunk_size: Images in a chunk.
        max_failures: Share of failed images above which the run, with everything
            written, ends in an error.
        labels: Whether the boxes become the pseudo-labels of a detector; messages then
            name the settings of labeling.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Any = None,
        boxes: str = '',
        chunk_size: int = LabelingConfig.chunk_size,
        max_failures: float = LabelingConfig.max_failures,
        labels: bool = False,
    ) -> None:
        if not boxes:
            raise ConfigError('DetectLoop needs a folder for the boxes, got none')
        store = LabelStore(boxes, BOX_LABELS if labels else DETECTIONS)
        super().__init__(runner, dataloader, store, chunk_size, max_failures)

    def manifest(self, model: Any) -> dict[str, Any]:
        """Return everything that determines the content of the store, as JSON values.

        Args:
            model: The `BoxDetector`, its `module` the detector with its weights.
        """
        config = self.runner.cfg
        detector = config['model']['module']
        return {
            'about': {
                'img_root': str(self.dataset.img_root),
                'checkpoint': str(config.get('load_from')),
            },
            'detector': {
                'architecture': json_sha256(_relevant({**detector, 'test_cfg': None})),
                'weights': weights_sha256(model.module),
                'test_cfg': _relevant(detector.get('test_cfg')),
                'pipeline': json_sha256(_relevant(self.dataset.pipeline)),
                **model.provenance(),
                'tta': _relevant(config['model'].get('tta_model')),
                'max_pixels': self.dataset.provenance()['max_pixels'],
                'versions': {**VERSIONS, 'mmdet': mmdet.__version__},
            },
            'keypoints': [],
            'chunk_size': self.chunk_size,
        }

    def collate(self, samples: Sequence[Any]) -> list[Any]:
        """Return the samples unchanged: the detector batches those of one size.

        Args:
            samples: Samples of the data set.
        """
        return list(samples)

    def rows(self, outputs: Sequence[PoseDataSample]) -> list[ImageRow]:
        """Convert the boxes of a batch of images to rows of the store.

        Args:
            outputs: The images' data samples, with `pred_instances`.
        """
        return [boxes_to_row(sample) for sample in outputs]


def _relevant(config: Any) -> Any:
    """Extract what determines the boxes from a config, as JSON values.

    Unlike the model itself it is the same in one process and in several, where norm
    layers have other names.
    """
    if isinstance(config, Mapping):
        return {
            k: _relevant(v) for k, v in sorted(config.items()) if k not in IGNORED_KEYS
        }
    if isinstance(config, Sequence) and not isinstance(config, str):
        return [_relevant(item) for item in config]
    return config if isinstance(config, (int, float, str, NoneType)) else str(config)
