"""The labelling loop: teacher in, label store out, nothing kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from mmdistill.engine.provenance import make_manifest
from mmdistill.engine.rows import sample_to_row
from mmdistill.engine.store_loop import StoreLoop
from mmdistill.errors import UserError
from mmdistill.functional.scoring import known_sigmas
from mmdistill.labels import ImageRow, LabelStore
from mmdistill.registry import LOOPS


@LOOPS.register_module()
class LabelLoop(StoreLoop):
    """Label every image of the data set and stream the rows to a label store.

    Args:
        runner: The runner; its model is a `HeatmapFusionTTA`.
        dataloader: Config of the loader, with an `UnlabeledDataset`.
        evaluator: Not used: there is nothing to evaluate against.
        labels: Folder of the label store.
        chunk_size: Images in a chunk.
        score_floor: Instance score below which a candidate is not stored.
        nms_thr: OKS above which of two candidates only the better is stored.
        max_failures: Share of failed images above which the run, with everything
            written, ends in an error.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Any = None,
        labels: str = '',
        chunk_size: int = 256,
        score_floor: float = 0.01,
        nms_thr: float = 0.9,
        max_failures: float = 0.05,
    ) -> None:
        if not labels:
            raise UserError('LabelLoop needs a folder for the label store, got none')
        super().__init__(
            runner, dataloader, LabelStore(labels), chunk_size, max_failures
        )
        metainfo = self.dataset.metainfo
        sigmas = known_sigmas(metainfo['sigmas'], metainfo['num_keypoints'])
        self._sigmas = sigmas.tolist()
        self.score_floor = score_floor
        self.nms_thr = nms_thr

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

    def parts(self, batch: dict, rows: Sequence[ImageRow]) -> Iterable[dict]:
        """One image after the other where boxes are followed, else all at once.

        Args:
            batch: `inputs` and `data_samples`.
            rows: The rows of the chunk so far.
        """
        following = self.dataset.following
        return following.one_by_one(batch, rows) if following else [batch]

    def rows(self, outputs: Sequence[PoseDataSample]) -> list[ImageRow]:
        """What the teacher found on a batch of images as rows of the store.

        Args:
            outputs: The images' data samples, with `pred_instances`.
        """
        return [
            sample_to_row(sample, self._sigmas, self.score_floor, self.nms_thr)
            for sample in outputs
        ]
