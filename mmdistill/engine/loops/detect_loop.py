"""The detecting loop: detector in, detection store out, nothing kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import mmdet
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from mmdistill.engine.loops.rows import VERSIONS, boxes_to_row, weights_sha256
from mmdistill.engine.loops.store_loop import StoreLoop
from mmdistill.errors import UserError
from mmdistill.registry import LOOPS
from mmdistill.store import ImageRow, LabelStore
from mmdistill.store.manifest import DETECTIONS
from mmdistill.utils.files import json_sha256

UNDECIDING = ('_scope_', 'init_cfg', 'train_cfg')
"""Parts of a config that are about training, or about where names are looked up."""


@LOOPS.register_module()
class DetectLoop(StoreLoop):
    """Find the boxes of every image of the data set, into a detection store.

    Args:
        runner: The runner; its model is a `BoxDetector`.
        dataloader: Config of the loader, with a `DetectionDataset`.
        evaluator: Not used: there is nothing to evaluate against.
        boxes: Folder of the detection store.
        chunk_size: Images in a chunk.
        max_failures: Share of failed images above which the run, with everything
            written, ends in an error.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Any = None,
        boxes: str = '',
        chunk_size: int = 256,
        max_failures: float = 0.05,
    ) -> None:
        if not boxes:
            raise UserError('DetectLoop needs a folder for the boxes, got none')
        store = LabelStore(boxes, DETECTIONS)
        super().__init__(runner, dataloader, store, chunk_size, max_failures)

    def manifest(self, model: Any) -> dict[str, Any]:
        """Everything that decides what the store holds, as JSON values.

        Args:
            model: The `BoxDetector`, its `module` the detector with its weights.
        """
        config = self.runner.cfg
        parts = config['model']['module']
        return {
            'about': {
                'img_root': str(self.dataset.img_root),
                'checkpoint': str(config.get('load_from')),
            },
            'detector': {
                'architecture': json_sha256(_deciding({**parts, 'test_cfg': None})),
                'weights': weights_sha256(model.module),
                'test_cfg': _deciding(parts.get('test_cfg')),
                'pipeline': json_sha256(_deciding(self.dataset.pipeline)),
                **model.provenance(),
                'tta': _deciding(config['model'].get('tta_model')),
                'max_pixels': self.dataset.provenance()['max_pixels'],
                'versions': {**VERSIONS, 'mmdet': mmdet.__version__},
            },
            'keypoints': [],
            'chunk_size': self.chunk_size,
        }

    def collate(self, samples: Sequence[Any]) -> list[Any]:
        """The samples as they are: the detector joins those of one size.

        Args:
            samples: Samples of the data set.
        """
        return list(samples)

    def rows(self, outputs: Sequence[PoseDataSample]) -> list[ImageRow]:
        """The boxes of a batch of images as rows of the store.

        Args:
            outputs: The images' data samples, with `pred_instances`.
        """
        return [boxes_to_row(sample) for sample in outputs]


def _deciding(part: Any) -> Any:
    """What of a config decides the boxes, as JSON values.

    Unlike the model itself it is the same in one process and in several, where norms
    are others by name.
    """
    if isinstance(part, Mapping):
        return {k: _deciding(v) for k, v in sorted(part.items()) if k not in UNDECIDING}
    if isinstance(part, Sequence) and not isinstance(part, str):
        return [_deciding(each) for each in part]
    return part if isinstance(part, (int, float, str, NoneType)) else str(part)
