"""The labelling loop: teacher in, label store out, nothing kept in memory."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, broadcast_object_list, get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from mmdistill.engine.provenance import make_manifest
from mmdistill.engine.rows import sample_to_row
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.chunk_batch_sampler import ChunkBatchSampler
from mmdistill.registry import LOOPS

LOADER_OPTIONS = ('num_workers', 'pin_memory', 'prefetch_factor', 'timeout')
"""Options of a loader's config that a labelling loader takes over."""


@LOOPS.register_module()
class LabelLoop(BaseLoop):
    """Label every image of the data set and stream the rows to a label store.

    Chunks of images are the unit of work. A chunk is written when its last image
    is labelled; one that exists is done, so an interrupted run continues with
    what is missing, with any number of processes, and ends in the same files.

    Args:
        runner: The runner; its model is a `HeatmapFusionTTA`.
        dataloader: Config of the loader, with an `UnlabeledDataset`.
        evaluator: Not used: there is nothing to evaluate against.
        labels: Folder of the label store.
        chunk_size: Images in a chunk.
        score_floor: Instance score below which a candidate is not stored.
        nms_thr: OKS above which of two candidates only the better is stored.
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
    ) -> None:
        self._runner = runner
        self._loader_config = dict(dataloader)
        if not labels:
            raise UserError('LabelLoop needs a folder for the label store, got none')
        if chunk_size < 1:
            raise UserError(f'chunk_size must be at least 1, got {chunk_size}')
        self.dataset = DATASETS.build(self._loader_config['dataset'])
        runner.visualizer.dataset_meta = self.dataset.metainfo
        self.store = LabelStore(labels)
        self.chunk_size = chunk_size
        self.score_floor = score_floor
        self.nms_thr = nms_thr
        self.grown = False
        self.dataloader = self._loader([])

    def run(self) -> dict[str, float]:
        """Label what the store misses.

        Raises:
            UserError: If the store was made otherwise.
        """
        self.runner.call_hook('before_test')
        missing = self._claim()
        self.grown = bool(missing)
        mine = missing[get_rank() :: get_world_size()]
        self._tell_start(missing)
        self.dataloader = self._loader(mine)
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        rows = []
        for number, batch in enumerate(self.dataloader):
            rows += self._run_iter(number, batch)
            if len(rows) == self._length(mine[0]):
                self.store.write_chunk(mine.pop(0), rows)
                rows = []
        barrier()
        self.runner.call_hook('after_test_epoch', metrics={})
        self.runner.call_hook('after_test')
        return {}

    @torch.no_grad()
    def _run_iter(self, number: int, batch: dict) -> list:
        self.runner.call_hook('before_test_iter', batch_idx=number, data_batch=batch)
        samples = self.runner.model.test_step(batch)
        self.runner.call_hook(
            'after_test_iter', batch_idx=number, data_batch=batch, outputs=samples
        )
        return [
            sample_to_row(
                sample,
                self.dataset.metainfo['sigmas'],
                self.score_floor,
                self.nms_thr,
            )
            for sample in samples
        ]

    def _claim(self) -> list[int]:
        """Begin or continue the store on the first rank; the others hear of it."""
        model = self.runner.model
        heard: list[Any] = [None, None]
        if get_rank() == 0:
            manifest = make_manifest(
                model.module if is_model_wrapper(model) else model,
                self.dataset,
                self.chunk_size,
                self.score_floor,
                self.nms_thr,
                str(self.runner.cfg.get('load_from')),
            )
            try:
                self.store.claim(manifest)
                heard[0] = self.store.missing_chunks()
            except UserError as error:
                heard[1] = str(error)
        broadcast_object_list(heard)
        if heard[1] is not None:
            raise UserError(heard[1])
        return heard[0]

    def _loader(self, chunks: list[int]) -> DataLoader:
        config = self._loader_config
        batches = ChunkBatchSampler(
            chunks, self.chunk_size, len(self.dataset), config['batch_size']
        )
        return DataLoader(
            self.dataset,
            batch_sampler=batches,
            collate_fn=pseudo_collate,
            **{key: config[key] for key in LOADER_OPTIONS if key in config},
        )

    def _length(self, chunk: int) -> int:
        start = chunk * self.chunk_size
        return min(self.chunk_size, len(self.dataset) - start)

    def _tell_start(self, missing: list[int]) -> None:
        to_do = sum(self._length(chunk) for chunk in missing)
        print_log(
            f'labelling {to_do} of {len(self.dataset)} images into {self.store.root}, '
            f'{len(self.dataset) - to_do} are done',
            logger='current',
        )
