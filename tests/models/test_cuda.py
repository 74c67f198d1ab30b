"""Labeling on a device: what a CPU gives, the same bytes twice, and no waiting."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.utils._python_dispatch import TorchDispatchMode

from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.network import Network, forward_of
from mmdistill.store import LabelStore
from tests.helpers.devices import CUDA, DEVICES
from tests.helpers.fusable_heads import FUSABLE, resnet_with
from tests.helpers.labeling import run_loop
from tests.helpers.metainfo import THREE_KEYPOINTS

FLIP_INDICES = [0, 2, 1]
VIEWS = dict(scales=(0.8, 1.0, 1.25))
EIGHTEEN = dict(scales=tuple(np.linspace(0.5, 1.5, 9)))
HALF_PRECISIONS = {'bfloat16': (4.0, 0.02), 'float16': (1.0, 0.005)}
"""How far keypoints, pixels, and scores may be off: a cell of a heatmap is 4 pixels."""
WAITING = ('_local_scalar_dense', 'nonzero', 'masked_select', '_unique2')
"""Operators that wait for the device."""


def some_input(count=2):
    generator = torch.Generator().manual_seed(7)
    shape = (3, 80, 90)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    corners = np.random.default_rng(3).uniform(0, 30, (count, 2))
    boxes = np.concatenate([corners, corners + 45], axis=1)
    return [image], [boxes.astype(np.float32)], FLIP_INDICES


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('head', FUSABLE)
def test_every_family_is_fused_as_on_a_cpu(head, device):
    torch.manual_seed(0)
    model = HeatmapFusionTTA(resnet_with(head, FUSABLE[head][0]), **VIEWS).eval()

    on_cpu = model.fuse(*some_input())
    on_device = model.to(device).fuse(*some_input())

    assert_allclose(on_device.keypoint_scores, on_cpu.keypoint_scores, atol=1e-3)
    far = np.linalg.norm(on_device.keypoints - on_cpu.keypoints, axis=-1) > 0.05
    # Vectors of random weights are flat: single bins may be as high as the highest.
    assert far.mean() <= (0.2 if head == 'SimCCHead' else 0)


@pytest.mark.parametrize('device', [CUDA])
@pytest.mark.parametrize('precision', HALF_PRECISIONS)
def test_half_precision_is_near_the_single_one(
    make_estimator, some_images, precision, device
):
    pixels, score = HALF_PRECISIONS[precision]
    images = [torch.from_numpy(i).permute(2, 0, 1) for i in some_images.images]
    given = images, some_images.boxes, FLIP_INDICES
    single = HeatmapFusionTTA(make_estimator(), **VIEWS).eval().fuse(*given)

    half = HeatmapFusionTTA(make_estimator(), **VIEWS, precision=precision)
    fused = half.eval().to(device).fuse(*given)

    assert_allclose(fused.keypoints, single.keypoints, atol=pixels)
    assert_allclose(fused.keypoint_scores, single.keypoint_scores, atol=score)


@pytest.fixture
def label(make_estimator, some_images, tmp_path):
    """Label two images on a device; returns the bytes of the chunks by name."""
    (tmp_path / 'images').mkdir()
    found = []
    pairs = zip('ab', some_images.images, some_images.boxes, strict=True)
    for name, image, boxes in pairs:
        cv2.imwrite(str(tmp_path / f'images/{name}.png'), image)
        found += [
            dict(image_id=f'{name}.png', bbox=[x, y, right - x, bottom - y], score=1)
            for x, y, right, bottom in boxes.tolist()
        ]
    (tmp_path / 'boxes.json').write_text(json.dumps(found))

    def run(device, name):
        model = HeatmapFusionTTA(make_estimator(), **VIEWS).eval().to(device)
        run_loop(
            *(tmp_path / 'images', tmp_path / name, THREE_KEYPOINTS, model),
            dataset=dict(bbox_file=str(tmp_path / 'boxes.json')),
            score_floor=0.0,
            chunk_size=1,
        )
        return {path: path.read_bytes() for path in chunks(tmp_path / name)}

    return run


def chunks(store: Path) -> list[Path]:
    return sorted(store.glob('chunks/*.parquet'))


@pytest.mark.parametrize('device', DEVICES)
def test_a_device_labels_what_a_cpu_labels(label, tmp_path, device):
    """To a twentieth of a pixel and the rounding of the store (1/64, 1/1024)."""
    label('cpu', 'expected')
    label(device, 'store')

    store, expected = LabelStore(tmp_path / 'store'), LabelStore(tmp_path / 'expected')
    assert store.manifest == expected.manifest
    assert store.paths() == expected.paths()
    rows, wanted = store.read(), expected.read()
    assert len(wanted.candidates) == 3
    assert np.array_equal(rows.image_index, wanted.image_index)
    rows, wanted = rows.candidates, wanted.candidates
    assert np.array_equal(rows.bboxes, wanted.bboxes)
    assert_allclose(rows.keypoints, wanted.keypoints, atol=0.05 + 1 / 64)
    for name in ('keypoint_scores', 'keypoint_agreement', 'instance_scores'):
        one, other = getattr(rows, name), getattr(wanted, name)
        assert_allclose(one, other, atol=1e-3 + 1 / 1024)


@pytest.mark.parametrize('device', DEVICES)
def test_a_device_labels_twice_the_same_bytes(label, device):
    one, other = label(device, 'one'), label(device, 'other')
    assert len(one) == 2
    assert list(one.values()) == list(other.values())


@pytest.mark.parametrize('device', DEVICES)
def test_a_chunk_that_is_labeled_again_has_the_same_bytes(label, device):
    whole = label(device, 'store')
    list(whole)[1].unlink()
    assert label(device, 'store') == whole


class Waits(TorchDispatchMode):
    """Counts the operators that wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('device', DEVICES)
def test_nothing_waits_for_an_instance(make_estimator, device):
    """Eight instances in one forward pass wait as often as two."""
    counts = []
    model = HeatmapFusionTTA(make_estimator(), **VIEWS, forward_batch_size=8)
    model = model.eval().to(device)
    for instances in (2, 8):
        model.fuse(*some_input(instances))
        with Waits() as waits:
            model.fuse(*some_input(instances))
        counts.append(waits.seen)
    assert counts[0] == counts[1]


def test_the_counter_of_waits_counts():
    with Waits() as waits:
        torch.ones(3).sum().item()
        torch.ones(3).nonzero()
    assert waits.seen == {'_local_scalar_dense': 1, 'nonzero': 1}


@pytest.mark.parametrize('device', [CUDA])
def test_a_gpu_is_not_waited_for_at_an_instance(make_estimator, device):
    """What CUDA itself reports, copies to the host included."""
    counts = []
    model = HeatmapFusionTTA(make_estimator(), **VIEWS, forward_batch_size=8)
    model = model.eval().to(device)
    for instances in (2, 8):
        model.fuse(*some_input(instances))
        torch.cuda.set_sync_debug_mode('warn')
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                model.fuse(*some_input(instances))
        finally:
            torch.cuda.set_sync_debug_mode('default')
        counts.append(sum('synchronizing' in str(w.message) for w in caught))
    assert counts[0] == counts[1]


@pytest.mark.parametrize('device', [CUDA])
def test_eighteen_views_take_the_gpu_memory_of_two(make_estimator, device):
    peaks = []
    for views in (dict(scales=(0.8,)), EIGHTEEN):
        model = HeatmapFusionTTA(make_estimator(), **views, forward_batch_size=3)
        model = model.eval().to(device)
        model.fuse(*some_input(8))
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        model.fuse(*some_input(8))
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] <= 1.02 * peaks[0]


@pytest.mark.parametrize('device', [CUDA])
def test_a_compiled_network_on_a_gpu_is_the_estimator(make_estimator, device):
    estimator = make_estimator(lopsided=True).to(device)
    inputs = torch.rand(6, 3, 256, 192, device=device)
    network = Network(estimator, compile_network=True)
    with torch.no_grad():
        for rows in (slice(6), slice(4), slice(5)):
            network.refresh_if_changed()
            expected = forward_of(estimator)(inputs[rows])
            torch.testing.assert_close(
                network(inputs[rows]), expected, rtol=1e-3, atol=1e-3
            )
