"""JPEGs decoded at a part of their size: the same poses from fewer pixels."""

from __future__ import annotations

import io
import json
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets import UnlabeledDataset
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import ConfigError
from mmdistill.functional.box_fit import BoxFit
from mmdistill.functional.image_frames import ResizeRule
from mmdistill.functional.reduced_decoding import reduced_size
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.image_teacher import ImageInputs

WIDTH, HEIGHT = 805, 602
KEYPOINTS = np.array([[310.0, 150], [420, 300], [350, 450]])
BOX = [200.0, 60, 300, 480]
METAINFO = dict(
    dataset_name='three',
    keypoint_info={
        0: dict(name='top', id=0, swap=''),
        1: dict(name='middle', id=1, swap=''),
        2: dict(name='bottom', id=2, swap=''),
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.05] * 3,
)


def encoded(image: np.ndarray, kind: str = '.jpg') -> bytes:
    """Bytes of a file of an image, the colors of a JPEG at full size."""
    options = []
    if kind == '.jpg':
        full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full]
    return cv2.imencode(kind, image, options)[1].tobytes()


def plane(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An image whose values are linear, so that means are values at the middle."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x * 200 / width, y * 200 / height, x * 0 + 90], -1).astype('uint8')


@pytest.fixture
def labeled_as(tmp_path, make_estimator, draw_person):
    """Poses and image sizes with JPEGs as they are, and reduced."""

    def run(views: dict, box=BOX, kind: str = '.jpg', codec: str = 'UDP'):
        picture = np.full((HEIGHT, WIDTH, 3), 20.0)
        draw_person(picture, KEYPOINTS, sigma=30)
        (tmp_path / 'images').mkdir()
        (tmp_path / f'images/a{kind}').write_bytes(
            encoded(picture.clip(0, 255).astype(np.uint8), kind)
        )
        boxes = [dict(image_id=f'a{kind}', bbox=box, category_id=1, score=1.0)]
        (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
        model = HeatmapFusionTTA(make_estimator(codec), **views).eval()
        dataset = UnlabeledDataset(
            *(METAINFO, str(tmp_path), dict(img='images/')),
            bbox_file=str(tmp_path / 'boxes.json'),
        )
        results = []
        for reduced in (False, True):
            if reduced:
                dataset.decode_reduced(model.sampling())
            entry = dataset[0]
            (sample,) = model.test_step(
                dict(inputs=[entry['inputs']], data_samples=[entry['data_samples']])
            )
            assert sample.ori_shape == (HEIGHT, WIDTH)
            results.append((sample.pred_instances, entry['inputs'].shape[1:]))
        return results

    return run


@pytest.mark.parametrize(
    ('views', 'reduction'),
    [
        # The crop of 450 x 600 pixels has 96 x 128 in the input.
        (dict(scales=(1.0,)), 2),
        (dict(scales=(0.5,)), 4),
        (dict(scales=(0.5, 1.0)), 2),
        (dict(scales=(0.5,), aspect_ratios=(0.7,)), 2),
        (dict(scales=(0.5,), aspect_ratios=(1.6,)), 1),
        (dict(scales=(0.8, 1.0), rotations=(20,)), 2),
        (dict(scales=(2.5,)), 1),
    ],
    ids=str,
)
def test_poses_are_those_of_all_pixels(labeled_as, views, reduction):
    whole, reduced = labeled_as(views)

    assert whole[1] == (HEIGHT, WIDTH)
    assert reduced[1] == reduced_size((HEIGHT, WIDTH), reduction)
    # A pixel of the input at scale 1 is 4.7 pixels of the image.
    apart = np.abs(reduced[0].keypoints - whole[0].keypoints)
    assert apart.max() < 0.5
    assert (apart.max() == 0) == (reduction == 1)
    np.testing.assert_array_equal(reduced[0].bboxes, whole[0].bboxes)


def test_poses_are_in_pixels_of_the_whole_image(labeled_as):
    _, (reduced, _) = labeled_as(dict(scales=(1.0,)))

    # A cell of the heatmap is 19 pixels of the image.
    assert np.abs(reduced.keypoints[0] - KEYPOINTS).max() < 2


def test_other_files_are_decoded_as_they_are(labeled_as):
    whole, reduced = labeled_as(dict(scales=(1.0,)), kind='.png')

    assert whole[1] == reduced[1]
    np.testing.assert_array_equal(whole[0].keypoints, reduced[0].keypoints)


def test_small_boxes_need_all_pixels(labeled_as):
    whole, reduced = labeled_as(dict(scales=(1.0,)), box=[300.0, 100, 60, 100])

    assert whole[1] == reduced[1]


def test_an_image_without_boxes_is_reduced_most(labeled_as):
    outside = [WIDTH + 10.0, 0, 50, 50]
    _, reduced = labeled_as(dict(scales=(1.0,)), box=outside)

    assert reduced[1] == reduced_size((HEIGHT, WIDTH), 8)


@pytest.mark.parametrize('factor', [2, 4, 8])
@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('size', [(80, 128), (42, 68), (45, 70)])
def test_a_reduced_image_is_turned_as_the_whole_one(factor, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(plane(*size)).save(file, 'JPEG', quality=98, exif=exif)
    reader = ImageReader()

    whole = reader.decode(file.getvalue())
    shapes = []
    reduced = reader.reducing(lambda shape: shapes.append(shape) or factor).decode(
        file.getvalue()
    )

    assert shapes == [whole.shape] == [reduced.shape]
    # Squares begin at the upright corner: else some divide both sides, or none.
    divides = math.gcd(factor, *size)
    assert reduced.reduction == (factor if orientation in (1, 5) else divides)
    step = reduced.reduction
    rows, columns = (side // step for side in whole.shape)
    kept = whole.pixels[: rows * step, : columns * step].astype(float)
    means = kept.reshape(rows, step, columns, step, 3).mean(axis=(1, 3))
    apart = np.abs(reduced.pixels[:rows, :columns] - means)
    # A square at the border may be cut off within the JPEG's own blocks.
    assert apart[: rows - 1, : columns - 1].max() < 4


def test_an_image_whose_orientation_is_unreadable_is_decoded_whole(monkeypatch):
    def malformed(image):
        raise SyntaxError('not a TIFF file')

    monkeypatch.setattr(Image.Image, 'getexif', malformed)
    data = encoded(plane())

    image = ImageReader().reducing(lambda shape: 4).decode(data)

    assert (image.reason, image.reduction) == ('', 1)
    np.testing.assert_array_equal(image.pixels, ImageReader().decode(data).pixels)


def test_an_image_that_opencv_gives_up_has_the_reason_of_a_whole_one(monkeypatch):
    def give_up(*args):
        raise cv2.error('too large')

    monkeypatch.setattr(cv2, 'imdecode', give_up)

    image = ImageReader().reducing(lambda shape: 4).decode(encoded(plane()))

    assert image.reason == 'not an image that OpenCV decodes'


@pytest.mark.parametrize(
    'broken', [b'', b'\xff\xd8\xff', encoded(plane())[:2000]], ids=len
)
def test_a_broken_file_has_its_reason_all_the_same(broken):
    reader = ImageReader()

    reduced = reader.reducing(lambda shape: 8).decode(broken)

    assert reduced.reason == reader.decode(broken).reason
    assert reduced.shape == reader.decode(broken).shape


@pytest.mark.parametrize('mode', ['fit', 'expand'])
@pytest.mark.parametrize('factor', [2, 4, 8])
def test_the_input_of_a_whole_image_is_the_same(mode, factor):
    inputs = ImageInputs(ResizeRule((64, 64), mode, size_factor=32), (0.0,) * 3)
    frame = inputs.rule.frame((WIDTH, HEIGHT))
    reduced = cv2.imdecode(
        np.frombuffer(encoded(plane()), np.uint8),
        getattr(cv2, f'IMREAD_REDUCED_COLOR_{factor}'),
    )

    whole = inputs.cut(plane(), frame).int()
    ours = inputs.cut(reduced, frame.reduced(factor)).int()

    # A border is interpolated with what lies beyond it, which is as wide as a pixel.
    left, top = (np.array(frame.size) - (64, 64 * HEIGHT / WIDTH)) // 2 + 3
    middle = np.s_[:, int(top) + 8 : -int(top) - 8, int(left) + 8 : -int(left) - 8]
    assert (ours - whole)[middle].abs().max() <= 3


def test_boxes_that_are_fitted_later_are_refused(make_estimator):
    model = HeatmapFusionTTA(make_estimator())
    model.box_fit = BoxFit((0.1,) * 4, least=2)

    with pytest.raises(ConfigError, match='needs boxes that are known before'):
        model.sampling()
