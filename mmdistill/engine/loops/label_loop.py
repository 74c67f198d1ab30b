"""The labeling loop: teacher in, label store out, nothing kept in memory."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from mmdistill.config.schema import NMS_THR, SCORE_FLOOR, LabelingConfig
from mmdistill.engine.loops.failure_limit import no_finite_number
from mmdistill.engine.loops.rows import has_instances, sample_to_row
from mmdistill.engine.loops.store_loop import BatchParts, StoreLoop
from mmdistill.engine.loops.store_manifest import make_manifest
from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import CheckpointError, ConfigError
from mmdistill.functional.scoring import known_sigmas
from mmdistill.registry import LOOPS
from mmdistill.store import ImageRow, LabelStore
from mmdistill.store.schema import NONE_FINITE, OK
from mmdistill.store.status import has_candidates

ENOUGH_TO_STOP = 64
"""Images on which no keypoint is finite, after which a run without others stops."""
GRAY = 128
"""Value of the pixels on which a doubtful teacher is tried."""


@LOOPS.register_module()
class LabelLoop(StoreLoop):
    """Label every image of the data set and stream the rows to a label store.

    Args:
        runner: The runner; its model is a `HeatmapFusionTTA` or a `PoseFinder`.
        dataloader: Config of the loader, with an `UnlabeledDataset`.
        evaluator: Not used: there is nothing to evaluate against.
        store: Folder of the label store.
        chunk_size: Images in a chunk.
        score_floor: Instance score below which a candidate is not stored; None for
            `SCORE_FLOOR`.
        nms_thr: OKS above which of two candidates only the better is stored; None for
            `NMS_THR`.
        max_failures: Share of failed images above which the run, with everything
            written, ends in an error.
        reduced_decoding: Whether a JPEG is decoded at 1/2, 1/4 or 1/8 of its size
            where the views of its boxes need no more pixels.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Any = None,
        store: str = '',
        chunk_size: int = LabelingConfig.chunk_size,
        score_floor: float | None = None,
        nms_thr: float | None = None,
        max_failures: float = LabelingConfig.max_failures,
        reduced_decoding: bool = LabelingConfig.reduced_decoding,
    ) -> None:
        if not store:
            raise ConfigError('LabelLoop needs a folder for the label store, got none')
        super().__init__(
            runner, dataloader, LabelStore(store), chunk_size, max_failures
        )
        metainfo = self.dataset.metainfo
        sigmas = known_sigmas(metainfo['sigmas'], metainfo['num_keypoints'])
        self._sigmas = sigmas.tolist()
        self.score_floor = SCORE_FLOOR if score_floor is None else score_floor
        self.nms_thr = NMS_THR if nms_thr is None else nms_thr
        self.reduced_decoding = reduced_decoding
        self._is_finite = False
        self._not_finite = 0
        self._doubtful: PoseDataSample | None = None

    def prepare(self) -> None:
        """Let the data set decode no more pixels than the teacher's views need."""
        if self.reduced_decoding:
            self.dataset.decode_reduced(unwrap_model(self.runner.model).sampling())

    def manifest(self, model: Any) -> dict[str, Any]:
        """Everything that decides what the store holds, as JSON values.

        Args:
            model: The fusing wrapper with its teacher.
        """
        return make_manifest(
            model,
            self.dataset,
            self.chunk_size,
            self.score_floor,
            self.nms_thr,
            str(self.runner.cfg.get('load_from')),
        )

    @property
    def memory_options(self) -> Sequence[str]:
        """Crops in a forward pass, which decide the memory more than images do."""
        return ('distill.views.forward_batch_size=1, for the least memory',)

    def parts(self, batch: dict, before: ImageRow | None) -> BatchParts:
        """One image after the other where boxes are tracked, else all at once.

        Args:
            batch: `inputs` and `data_samples`.
            before: The last row of the chunk so far; None at its start.
        """
        tracker = self.dataset.tracker
        if tracker is None:
            return super().parts(batch, before)
        frames: BatchParts = tracker.iter_frames(batch, before)
        return frames

    def rows(self, outputs: Sequence[PoseDataSample]) -> list[ImageRow]:
        """Convert the teacher's candidates on a batch of images to rows of the store.

        Args:
            outputs: The images' data samples, with `pred_instances`.

        Raises:
            CheckpointError: If no keypoint of many images is finite.
        """
        rows = [
            sample_to_row(sample, self._sigmas, self.score_floor, self.nms_thr)
            for sample in outputs
        ]
        self._check_finite(outputs, rows)
        return rows

    @torch.no_grad()
    def check_chunk(self) -> None:
        """Refuse a teacher that gives nothing finite after its first chunk with boxes.

        A chunk may have few images, and these may be odd ones. So the teacher is also
        tried on a gray image; one that is finite there labels on.

        Raises:
            CheckpointError: If no keypoint of the run and of the trial is finite.
        """
        sample, self._doubtful = self._doubtful, None
        if sample is not None and not self._is_finite_on_gray(sample):
            self._stop_if_all_is_broken()

    def _check_finite(
        self, outputs: Sequence[PoseDataSample], rows: Sequence[ImageRow]
    ) -> None:
        """Stop while little is lost where nothing that the teacher gives is finite."""
        if self._is_finite:
            return
        looked_at = [
            (row.reason != NONE_FINITE, sample)
            for row, sample in zip(rows, outputs, strict=True)
            if sample.metainfo['status'] == OK and has_instances(sample)
        ]
        if looked_at and not self._not_finite:
            self._doubtful = looked_at[0][1]
        self._is_finite = any(finite for finite, _ in looked_at)
        self._not_finite += len(looked_at)
        if self._is_finite:
            self._doubtful = None
        elif self._not_finite >= ENOUGH_TO_STOP:
            self._stop_if_all_is_broken()

    def _is_finite_on_gray(self, sample: PoseDataSample) -> bool:
        """Whether a keypoint is finite on a gray image, the box of which is all of it.

        Args:
            sample: The data sample of an image, whose size it has.
        """
        height, width = sample.metainfo['ori_shape']
        box = np.array([[0, 0, width, height]], dtype=np.float32)
        trial = PoseDataSample(metainfo=copy.deepcopy(sample.metainfo))
        trial.gt_instances = InstanceData(bboxes=box, bbox_scores=np.ones(1))
        gray = torch.full((3, height, width), GRAY, dtype=torch.uint8)
        batch = dict(inputs=[gray], data_samples=[trial])
        (seen,) = self.runner.model.test_step(batch)
        row = sample_to_row(seen, self._sigmas, self.score_floor, self.nms_thr)
        return row.reason != NONE_FINITE

    def _stop_if_all_is_broken(self) -> None:
        # What was written before this run, or by another process, may be right.
        self._is_finite = has_candidates(self.store)
        if not self._is_finite:
            raise CheckpointError(no_finite_number(self.store.root, self._not_finite))
