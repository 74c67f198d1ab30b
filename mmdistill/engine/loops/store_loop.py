"""Base loop of the stages that stream rows to a store, in any number of processes.

Rank 0 locks and claims the store for the run; then every rank writes its own chunks.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader, get_worker_info

from mmdistill.datasets.samplers.chunk_batch_sampler import ChunkBatchSampler
from mmdistill.engine.console import FILE_ONLY, ProgressLines
from mmdistill.engine.loops.chunk_writer import ChunkWriter
from mmdistill.engine.loops.failure_limit import check_failures
from mmdistill.engine.loops.sent_samples import (
    ReadInTurn,
    SentSamples,
    SharedBlocks,
    opened_blocks,
)
from mmdistill.engine.runner import unwrap_model
from mmdistill.errors import ConfigError, UserError
from mmdistill.store import ImageRow, LabelStore
from mmdistill.store.generations import ChunkSpan, UnlabeledImages
from mmdistill.store.lock import RunLock
from mmdistill.store.manifest import unrecorded
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.worker_failures import FAILURES, failure_cause

LOADER_OPTIONS = ('num_workers', 'pin_memory', 'prefetch_factor', 'timeout')
"""Options of the loader's config that are passed to the `DataLoader`."""


class BatchParts(Protocol):
    """Parts of a batch, each of which goes through the model at once."""

    def __iter__(self) -> Iterator[Any]:
        """Give out the parts."""

    def observe(self, row: ImageRow) -> None:
        """Take a row of the last part, before the next part is asked for.

        Args:
            row: The row.
        """


class WholeBatch:
    """A batch that goes through the model at once.

    Args:
        batch: The batch.
    """

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[Any]:
        yield self.batch

    def observe(self, row: ImageRow) -> None:
        """Nothing comes after it.

        Args:
            row: Not used.
        """


class StoreLoop(BaseLoop):
    """Run a model on every image of a data set and stream the rows to a store.

    Chunks of images are the unit of work. A chunk is written when its last image is
    done; an existing chunk is done, so an interrupted run continues with the missing
    ones, with any number of processes, and ends in the same files. New images extend
    the store. Only one run at a time may write to it.

    Args:
        runner: The runner.
        dataloader: Config of the loader, with its data set.
        store: The store.
        chunk_size: Images in a chunk.
        max_failures: Share of failed images above which the run, with everything
            written, ends in an error.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        store: LabelStore,
        chunk_size: int,
        max_failures: float,
    ) -> None:
        self._runner = runner
        self._loader_config = dict(dataloader)
        if chunk_size < 1:
            raise ConfigError(f'chunk_size must be at least 1, got {chunk_size}')
        if not 0 <= max_failures <= 1:
            raise ConfigError(
                f'max_failures must be a share, 0 to 1, got {max_failures}'
            )
        self.dataset = DATASETS.build(self._loader_config['dataset'])
        runner.visualizer.dataset_meta = self.dataset.metainfo
        self.store = store
        self.chunk_size = chunk_size
        self.max_failures = max_failures
        self.dataloader = self._loader([], np.zeros(0, dtype=np.int64))

    @abstractmethod
    def manifest(self, model: Any) -> dict[str, Any]:
        """Return everything that determines the content of the store, as JSON values.

        Args:
            model: The model, without the wrapper of several processes.
        """

    def collate(self, samples: Sequence[Any]) -> Any:
        """Collate samples to a batch of the model.

        Args:
            samples: Samples of the data set.
        """
        return pseudo_collate(samples)

    def parts(self, batch: Any, before: ImageRow | None) -> BatchParts:
        """Divide a batch into parts, each of which goes through the model at once.

        Args:
            batch: The batch.
            before: The last row of the chunk so far; None at its start.
        """
        return WholeBatch(batch)

    @abstractmethod
    def rows(self, outputs: Sequence[Any]) -> list[ImageRow]:
        """Convert the outputs of the model to rows of the store, in the same order.

        Args:
            outputs: Outputs of the model's `test_step`.
        """

    def check_chunk(self) -> None:
        """Look at what was computed before a finished chunk is written."""

    def run(self) -> dict[str, float]:
        """Write the missing chunks of the store.

        Raises:
            UserError: If the store was made with other settings, another run has it,
                a file cannot be written, or too many images failed.
        """
        lock = RunLock(self.store.root)
        try:
            self._run(lock)
        except FAILURES as error:
            cause = failure_cause(error)
            if cause is None:
                raise
            raise self._failure(cause) from error
        finally:
            lock.release()
        return {}

    @property
    def memory_options(self) -> Sequence[str]:
        """Settings with which the model needs less memory, as `--cfg-options`."""
        return ()

    def _failure(self, cause: str) -> UserError:
        """Make the error for failed worker processes or memory, with what to do."""
        config, section = self._loader_config, self.store.kind.section
        size, workers = config['batch_size'], config.get('num_workers', 0)
        options = []
        if workers:
            without = f'{section}.num_workers=0 (now {workers})'
            options.append(f'{without}, which reads without worker processes')
        options += self.memory_options
        if size > 1:
            options.append(f'{section}.batch_size={size // 2} (now {size})')
        advice = f' with --cfg-options {" or ".join(options)}' if options else ''
        error = UserError(
            f'{self.store.kind.doing} stopped: {cause}. Run it again{advice}: it goes '
            'on where it was'
        )
        logger = MMLogger.get_current_instance()
        logger.info(cause, exc_info=True, extra={FILE_ONLY: True})
        # The command line reports errors of rank 0 only.
        if get_rank():
            logger.error(str(error))
        return error

    def prepare(self) -> None:
        """Prepare the data set once hooks have set up the model."""

    def _run(self, lock: RunLock) -> None:
        self.runner.call_hook('before_test')
        self.prepare()
        order, missing = claim_on_all_ranks(
            self.store, lock, self._manifest, self.dataset
        )
        spans = self.store.chunk_spans()
        to_do = sum(len(spans[chunk]) for chunk in missing)
        self._log_start(to_do)
        own_chunks = missing[get_rank() :: get_world_size()]
        own_images = sum(len(spans[chunk]) for chunk in own_chunks)
        self.dataloader = self._loader([spans[chunk] for chunk in own_chunks], order)
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        progress = ProgressLines(
            self.store.kind.doing, len(self.dataset), to_do, own_images
        )
        try:
            with opened_blocks(), ChunkWriter(self._write) as writer:
                self._run_batches(own_chunks, spans, progress, writer)
        finally:
            progress.close()
        barrier()
        self.runner.call_hook('after_test_epoch', metrics={})
        too_many = check_failures(self.store, self.max_failures)
        self.runner.call_hook('after_test')
        if too_many:
            raise too_many

    def _run_batches(
        self,
        chunks: Sequence[int],
        spans: list[ChunkSpan],
        progress: ProgressLines,
        writer: ChunkWriter[ImageRow],
    ) -> None:
        unfinished: dict[int, list[ImageRow]] = {}
        for number, sent in enumerate(self.dataloader):
            chunk = chunks[self._batches.chunks[number]]
            rows = unfinished.setdefault(chunk, [])
            before = len(rows)
            with _received(sent) as samples:
                self._run_iter(number, self.collate(samples), rows)
            progress.advance(len(rows) - before)
            if len(rows) == len(spans[chunk]):
                self.check_chunk()
                writer.submit(chunk, unfinished.pop(chunk))

    @torch.no_grad()
    def _run_iter(self, number: int, batch: Any, rows: list[ImageRow]) -> None:
        """Run the model on a batch, and append its rows to those of its chunk."""
        self.runner.call_hook('before_test_iter', batch_idx=number, data_batch=batch)
        outputs: list[Any] = []
        parts = self.parts(batch, rows[-1] if rows else None)
        for part in parts:
            samples = self.runner.model.test_step(part)
            for row in self.rows(samples):
                rows.append(row)
                parts.observe(row)
            outputs += samples
        self.runner.call_hook(
            'after_test_iter', batch_idx=number, data_batch=batch, outputs=outputs
        )

    def _manifest(self) -> dict[str, Any]:
        return self.manifest(unwrap_model(self.runner.model))

    def _write(self, chunk: int, rows: Sequence[ImageRow]) -> None:
        try:
            self.store.write_chunk(chunk, rows)
        except UserError as error:
            # The command line reports errors of rank 0 only.
            if get_rank():
                print_log(str(error), logger='current', level=logging.ERROR)
            raise

    def _loader(self, spans: list[ChunkSpan], order: np.ndarray) -> DataLoader:
        config = self._loader_config
        workers = config.get('num_workers', 0)
        lanes = max(workers, 1) if self.dataset.in_order else 1
        self._batches = ChunkBatchSampler(spans, order, config['batch_size'], lanes)
        return DataLoader(
            ReadInTurn(self.dataset),
            batch_sampler=self._batches,
            collate_fn=_sent,
            **{key: config[key] for key in LOADER_OPTIONS if key in config},
        )

    def _log_start(self, to_do: int) -> None:
        print_log(
            f'{self.store.kind.doing} {to_do} of {len(self.dataset)} images into '
            f'{self.store.root}, {len(self.dataset) - to_do} are done',
            logger='current',
        )


def _sent(samples: Iterable[Any]) -> Any:
    """Prepare the samples of a batch for the way from a worker, if there is one."""
    if get_worker_info() is None:
        return list(samples)
    return SentSamples(samples, _BLOCKS)


_BLOCKS = SharedBlocks()
"""Blocks of this process, if it is a worker."""


@contextmanager
def _received(sent: Any) -> Iterator[list[Any]]:
    """Samples of a batch, whose images a worker may overwrite afterwards."""
    if isinstance(sent, SentSamples):
        yield sent.unpacked()
        sent.release()
    else:
        yield sent


def claim_on_all_ranks(
    store: LabelStore,
    lock: RunLock,
    make_manifest: Callable[[], Mapping[str, Any]],
    images: UnlabeledImages,
) -> tuple[np.ndarray, list[int]]:
    """Lock a store for this run, then begin, continue or extend it.

    Args:
        store: The store.
        lock: Its lock; every rank acquires it.
        make_manifest: Collects what determines the store; called on rank 0.
        images: The unlabeled images.

    Returns:
        For each image of the store its position in the unlabeled set, (I,), and the
        missing chunks.

    Raises:
        UserError: On every rank, if another run has the store or it was made with
            other settings.
    """

    def claim() -> tuple[np.ndarray, list[int]]:
        lock.acquire()
        manifest = make_manifest()
        order, missing = store.claim(manifest, images), store.missing_chunks()
        _log_unrecorded(store, manifest, complete=not missing)
        return order, missing

    claimed = run_on_rank_zero(claim)
    if get_rank():
        lock.acquire(get_rank())
    return claimed


def _log_unrecorded(
    store: LabelStore, manifest: Mapping[str, Any], complete: bool
) -> None:
    names = unrecorded(store.manifest, manifest, complete=complete)
    if names:
        print_log(
            f'the {store.kind.name} {store.root} was begun before manifests had '
            f'{", ".join(names)}, which is not compared',
            logger='current',
        )
