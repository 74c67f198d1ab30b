"""Pipelines that load images in another frame than that of the labels."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from mmpose.datasets.transforms import LoadImage
from PIL import Image

from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.transforms import warn_if_unrotated

FLAGS = [
    *('color', 'unchanged', 'color_ignore_orientation'),
    *('grayscale', 'grayscale_ignore_orientation'),
]


@pytest.mark.parametrize(('flag', 'backend'), product(FLAGS, ['cv2', 'pillow']))
def test_it_warns_where_the_host_does_not_turn(tmp_path, logged, flag, backend):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (32, 24)).save(tmp_path / 'a.jpg', exif=exif)
    labeled = ImageReader().read(tmp_path / 'a.jpg')
    options = dict(color_type=flag, imdecode_backend=backend)
    loaded = LoadImage(**options).transform(dict(img_path=str(tmp_path / 'a.jpg')))

    warn_if_unrotated([dict(type='mmpose.LoadImage', **options), dict(type='Flip')])
    assert bool(logged) == (loaded['img_shape'] != labeled.shape)


@pytest.mark.parametrize('backend', ['turbojpeg', 'tifffile'])
def test_it_warns_of_backends_that_never_turn(logged, backend):
    warn_if_unrotated([dict(type='LoadImage', imdecode_backend=backend)])
    assert len(logged) == 1


def test_built_transforms_are_not_checked(logged):
    warn_if_unrotated([LoadImage(), np.array(1), io.BytesIO()])
    assert logged == []
