"""Nothing names a device: tensors stay where they are put."""

import json

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mmdistill.functional.crops import (
    boxes_to_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.fusion import MaskedMean, PeakSpread, heatmap_peaks
from mmdistill.functional.inverse_views import Axis, inverse_of
from mmdistill.functional.views import Frame, View
from mmdistill.models import HeatmapFusionTTA
from mmdistill.store import LabelStore
from tests.helpers.labeling import run_loop

META = torch.device('meta')
THREE_KEYPOINTS = dict(
    dataset_name='three',
    keypoint_info={
        number: dict(name=name, id=number, color=[0, 0, 0], type='', swap=swap)
        for number, (name, swap) in enumerate((('a', ''), ('b', 'c'), ('c', 'b')))
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.05] * 3,
)


def test_crops_are_cut_on_the_device_of_the_boxes():
    crops = boxes_to_crops(torch.empty(5, 4, device=META), 1.25, 0.75)
    frame = Frame(48, 64, True)
    walk = input_walk(View(1.5, flip=True), frame)
    sizes = torch.empty(5, 2, device=META)

    grids = sampling_grids(walk, frame, crops, sizes)
    pixels = cut_crops(torch.empty(3, 100, 120, device=META), grids)

    assert pixels.device == META
    assert pixels.shape == (5, 3, 64, 48)


def test_views_are_fused_on_the_device_of_the_heatmaps():
    heatmaps = torch.empty(5, 17, 16, 12, device=META)
    fused, spread = MaskedMean(5), PeakSpread(5)
    axes = Axis(12, 4.0, 0.0, 48), Axis(16, 4.0, 0.0, 64)

    for view in (View(), View(rotation=20.0)):
        undo = inverse_of(view, Frame(48, 64, True), axes).to(META)
        fused.add(undo(heatmaps), undo.coverage)
        spread.add(*heatmap_peaks(heatmaps))

    assert fused.result().device == spread.result().device == META


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_a_gpu_fuses_what_a_cpu_fuses(make_estimator):
    images = [torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8)]
    boxes = [np.array([[10, 10, 60, 70], [0, 0, 90, 80]], dtype=np.float32)]
    flip_indices = [0, 2, 1]
    model = HeatmapFusionTTA(make_estimator(), scales=(0.8, 1.0, 1.25)).eval()

    on_cpu = model.fuse(images, boxes, flip_indices)
    on_gpu = model.cuda().fuse(images, boxes, flip_indices)

    assert_allclose(on_gpu.keypoints, on_cpu.keypoints, atol=0.05)
    assert_allclose(on_gpu.keypoint_scores, on_cpu.keypoint_scores, atol=1e-3)


def label_on(device, make_estimator, root):
    model = HeatmapFusionTTA(make_estimator(), scales=(0.8, 1.0, 1.25)).eval()
    run_loop(
        *(root / 'pile', root / device, THREE_KEYPOINTS, model.to(device)),
        dataset=dict(bbox_file=str(root / 'boxes.json')),
        score_floor=0.0,
    )
    return LabelStore(root / device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_a_gpu_labels_what_a_cpu_labels(make_estimator, some_images, tmp_path):
    """To a twentieth of a pixel and the rounding of the store (1/64, 1/1024)."""
    (tmp_path / 'pile').mkdir()
    boxes = []
    pile = zip('ab', some_images.images, some_images.boxes, strict=True)
    for name, image, found in pile:
        cv2.imwrite(str(tmp_path / f'pile/{name}.png'), image)
        boxes += [
            dict(image_id=f'{name}.png', bbox=[x, y, right - x, bottom - y], score=1)
            for x, y, right, bottom in found.tolist()
        ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))

    cpu = label_on('cpu', make_estimator, tmp_path)
    gpu = label_on('cuda', make_estimator, tmp_path)

    assert gpu.manifest == cpu.manifest
    rows, expected = gpu.read(), cpu.read()
    assert rows.paths.equals(expected.paths)
    assert np.array_equal(rows.image_index, expected.image_index)
    got, wanted = rows.candidates, expected.candidates
    assert len(wanted) == 3
    assert np.array_equal(got.bboxes, wanted.bboxes)
    assert_allclose(got.keypoints, wanted.keypoints, atol=0.05 + 1 / 64)
    for name in ('keypoint_scores', 'keypoint_agreement', 'instance_scores'):
        left, right = getattr(got, name), getattr(wanted, name)
        assert_allclose(left, right, atol=1e-3 + 1 / 1024)
