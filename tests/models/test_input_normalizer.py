"""The two steps, against the preprocessors of MMPose."""

import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmpose.models import PoseDataPreprocessor

from mmdistill.models.input_normalizer import InputNormalizer

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Gamma(BaseDataPreprocessor):
    """Darkens, which is no scale and shift of uniform images' neighbours."""

    def forward(self, data: dict, training: bool = False) -> dict:
        return dict(data, inputs=(data['inputs'].cumsum(-1) / 255) ** 2)


PREPROCESSORS = {
    'plain': lambda: PoseDataPreprocessor(),
    'normalized': lambda: PoseDataPreprocessor(mean=MEAN, std=STD),
    'swapped': lambda: PoseDataPreprocessor(mean=MEAN, std=STD, bgr_to_rgb=True),
    'other': Gamma,
}


@pytest.fixture
def crops():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 3, 16, 12), generator=generator).float()


@pytest.mark.parametrize('name', PREPROCESSORS)
def test_both_steps_are_the_preprocessor(crops, name):
    preprocessor = PREPROCESSORS[name]()
    theirs = preprocessor(dict(inputs=crops, data_samples=[]))['inputs']
    normalizer = InputNormalizer(preprocessor, torch.channels_last)

    ours = normalizer.inputs([normalizer.scaled(part) for part in crops.split([2, 3])])

    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_images_without_a_batch_axis_are_scaled_as_crops_are(crops):
    preprocessor = PoseDataPreprocessor(mean=MEAN, std=STD, bgr_to_rgb=True)
    normalizer = InputNormalizer(preprocessor, torch.contiguous_format)

    alone = normalizer.scaled(crops[3].byte())

    torch.testing.assert_close(alone, normalizer.scaled(crops)[3])


def test_black_stays_black_until_the_second_step(crops):
    preprocessor = PoseDataPreprocessor(mean=MEAN, std=STD)
    normalizer = InputNormalizer(preprocessor, torch.contiguous_format)

    assert not normalizer.scaled(torch.zeros_like(crops)).any()
