"""The detecting loop: detector in, detection store out, nothing kept in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import mmdet
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from mmdistill.engine.provenance import VERSIONS, network_provenance
from mmdistill.engine.rows import boxes_to_row
from mmdistill.engine.store_loop import StoreLoop
from mmdistill.errors import UserError
from mmdistill.labels import ImageRow, LabelStore
from mmdistill.labels.files import json_sha256
from mmdistill.labels.store_kind import DETECTIONS
from mmdistill.registry import LOOPS


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
        pipeline = json.dumps(self.dataset.pipeline, default=str)
        manifest = {
            'about': {
                'img_root': str(self.dataset.img_root),
                'checkpoint': str(config.get('load_from')),
            },
            'detector': {
                **network_provenance(model.module),
                **model.provenance(),
                'test_cfg': getattr(model.module, 'test_cfg', None),
                'pipeline': json_sha256(pipeline),
                'max_pixels': self.dataset.provenance()['max_pixels'],
                'versions': {**VERSIONS, 'mmdet': mmdet.__version__},
            },
            'keypoints': [],
            'chunk_size': self.chunk_size,
        }
        # As it will be read again: tuples are lists then.
        return json.loads(json.dumps(manifest, default=str))

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
