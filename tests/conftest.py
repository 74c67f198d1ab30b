"""Fixtures: images, candidates and label stores, generated small."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.selection import Selection
from mmdistill.selection.counts import LabeledCounts, Part, UnlabeledCounts
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.store import Candidates, ImageRow, LabelStore
from mmdistill.store.schema import empty_candidates
from mmdistill.toy import write_toy_data
from tests.helpers.fresh_runs import forget_instances
from tests.helpers.metainfo import COCO
from tests.helpers.named_images import NamedImages
from tests.helpers.noise_images import HEIGHT, WIDTH
from tests.helpers.recipes import DETECTOR

pytest_plugins = [
    *('tests.helpers.installed_files', 'tests.helpers.labeling'),
    'tests.helpers.media',
]


# No deadline: how long an example takes says nothing about whether it is right.
settings.register_profile('mmdistill', deadline=None, derandomize=True)
settings.load_profile('mmdistill')


def pytest_collection_finish() -> None:
    """Spare the collector what lives as long as the session: modules and tests.

    There are millions of objects, and each release of memory would visit all of them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_instances() -> Iterator[None]:
    """Loggers, visualizers and default scopes outlive their runs.

    They go after a test as well: what a session shares is made before the next one.
    """
    forget_instances()
    yield
    forget_instances()


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    """Lines that any logger of MMEngine gets during the test."""
    lines: list[str] = []
    _listen(monkeypatch, lambda record: lines.append(record.getMessage()))
    return lines


@pytest.fixture
def logged_levels(monkeypatch) -> list[tuple[int, str]]:
    """The same lines, each behind its level."""
    lines: list[tuple[int, str]] = []
    _listen(
        monkeypatch, lambda record: lines.append((record.levelno, record.getMessage()))
    )
    return lines


def _listen(monkeypatch, note: Callable[[logging.LogRecord], None]) -> None:
    call_handlers = MMLogger.callHandlers

    def take(self: MMLogger, record: logging.LogRecord) -> None:
        note(record)
        call_handlers(self, record)

    monkeypatch.setattr(MMLogger, 'callHandlers', take)


@pytest.fixture
def coco_metainfo() -> dict:
    """Metainfo of the 17 COCO keypoints, as a config gives it."""
    return dict(COCO)


@pytest.fixture
def coco_names() -> list[str]:
    """The 17 COCO keypoints by name."""
    names = parse_pose_metainfo(COCO)['keypoint_id2name']
    return [names[i] for i in range(17)]


@pytest.fixture
def write_images() -> Callable[..., list[Path]]:
    """Write noise images of 64 x 48 pixels below a folder."""

    def write(root: Path, *names: str) -> list[Path]:
        rng = np.random.default_rng(7)
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            assert cv2.imwrite(str(root / name), image)
        return [root / name for name in names]

    return write


@pytest.fixture
def make_candidates() -> Callable[..., Candidates]:
    """Draw candidates on an image of 64 x 48 pixels."""

    def make(
        count: int,
        seed: int = 0,
        num_keypoints: int = 17,
        scores: Sequence[float] | None = None,
    ) -> Candidates:
        rng = np.random.default_rng(seed)
        low = rng.uniform(0, 20, (count, 2))
        # Eighths of a pixel survive a json of four decimals exactly.
        keypoints = rng.integers(16, 8 * 46, (count, num_keypoints, 2)) / 8
        arrays = (
            np.concatenate([low, low + rng.uniform(10, 25, (count, 2))], axis=1),
            rng.uniform(0.1, 1, count),
            keypoints,
            rng.uniform(0, 1, (count, num_keypoints)),
            rng.uniform(0, 1, (count, num_keypoints)),
            rng.uniform(0.1, 1, count) if scores is None else np.array(scores),
        )
        floats = (array.astype(np.float32) for array in arrays)
        return Candidates(*floats, rng.integers(1, 4, count, dtype=np.int32))

    return make


@pytest.fixture
def make_rows(make_candidates) -> Callable[..., list[ImageRow]]:
    """Draw rows of images; a count of None is an image that could not be read."""

    def make(counts: Sequence[int | None], num_keypoints: int = 17) -> list[ImageRow]:
        return [
            ImageRow(f'{i:03d}.png', 0, 0, 'failed', 'no such file', empty)
            if count is None
            else ImageRow(
                f'{i:03d}.png',
                WIDTH,
                HEIGHT,
                'ok',
                '',
                make_candidates(count, i, num_keypoints),
            )
            for empty in [empty_candidates(num_keypoints)]
            for i, count in enumerate(counts)
        ]

    return make


@pytest.fixture
def make_unlabeled() -> Callable[..., NamedImages]:
    """Name images that a store is told of."""
    return NamedImages


@pytest.fixture
def make_store(coco_names) -> Callable[..., LabelStore]:
    """Write rows as a complete store of COCO keypoints."""

    def make(
        root: Path,
        rows: Sequence[ImageRow],
        chunk_size: int = 3,
        img_root: Path = Path('images'),
        names: Sequence[str] = coco_names,
    ) -> LabelStore:
        store = LabelStore(root)
        store.claim(
            dict(
                about=dict(img_root=str(img_root)),
                chunk_size=chunk_size,
                keypoints=list(names),
            ),
            NamedImages([row.path for row in rows]),
        )
        for index in store.missing_chunks():
            place = store.chunk_spans()[index]
            store.write_chunk(index, rows[place.start : place.stop])
        return store

    return make


@pytest.fixture
def make_selection() -> Callable[..., Selection]:
    """Select by a score, with counts that nobody looks at."""

    def make(score_thr: float, keypoint_thr: float = 0.2) -> Selection:
        return Selection(
            options=SelectionOptions(keypoint_thr=keypoint_thr, score_thr=score_thr),
            thresholds=(Threshold(None, None, score_thr),),
            keypoint_thrs=(keypoint_thr,) * 17,
            labeled=LabeledCounts(4, 3, 6, 'abc', ((1, 6),), (2,) * 17),
            unlabeled=UnlabeledCounts(5, 1, 9, 7, 80, 39, 1),
            parts=(Part('', 1, score_thr, 5, 9, 7, 80, 39, 1.5),),
            curve_thresholds=(0.25, 0.5),
            curve_means=(1.8, 1.4),
            changes=dict(score_thr=score_thr),
        )

    return make


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory) -> Path:
    """The toy data set: 6 labeled images, 6 unlabeled ones, 1 of val."""
    root = tmp_path_factory.mktemp('data') / 'toy'
    write_toy_data(root, labeled=6, unlabeled=6, val=1)
    return root


@pytest.fixture(scope='session')
def write_detector(tmp_path_factory) -> Callable[..., Path]:
    """Write a checkpoint of the toy detector that was never trained.

    It finds boxes everywhere, or with a low `bias` none.
    """

    def write(bias: float = 0.0, classes: Sequence[str] | None = ('person',)) -> Path:
        # Detectors take seconds to import, which most tests need not.
        from mmdet.registry import MODELS
        from mmdet.utils import register_all_modules

        register_all_modules(init_default_scope=False)
        torch.manual_seed(0)
        detector = MODELS.build(Config.fromfile(DETECTOR).model)
        for layer in detector.bbox_head.rtm_cls:
            torch.nn.init.constant_(layer.bias, bias)
        meta = {} if classes is None else dict(dataset_meta=dict(classes=classes))
        path = tmp_path_factory.mktemp('detector') / 'detector.pth'
        torch.save(dict(meta=meta, state_dict=detector.state_dict()), path)
        return path

    return write


@pytest.fixture(scope='session')
def detector_file(write_detector) -> Path:
    """A checkpoint of the toy detector that finds boxes everywhere."""
    return write_detector()
