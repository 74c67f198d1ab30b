"""Network inputs, against those of the preprocessors of MMPose."""

import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmpose.models import PoseDataPreprocessor

from mmdistill.models.input_normalizer import InputNormalizer

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Gamma(BaseDataPreprocessor):
    """Darkens, which is no scale and shift of uniform images' neighbors."""

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


@pytest.mark.parametrize(
    'memory_format', [torch.channels_last, torch.contiguous_format], ids=str
)
@pytest.mark.parametrize('name', PREPROCESSORS)
def test_inputs_are_those_of_the_preprocessor(crops, name, memory_format):
    preprocessor = PREPROCESSORS[name]()
    theirs = preprocessor(dict(inputs=crops, data_samples=[]))['inputs']
    normalizer = InputNormalizer(preprocessor, memory_format)

    ours = normalizer.inputs(crops.split([2, 3]))

    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
    assert ours.is_contiguous(memory_format=memory_format)


def test_crops_stay_as_they_are(crops):
    before = crops.clone()
    preprocessor = PREPROCESSORS['swapped']()
    InputNormalizer(preprocessor, torch.channels_last).inputs([crops])
    assert torch.equal(crops, before)
