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


@pytest.mark.parametrize(
    'memory_format', [torch.channels_last, torch.contiguous_format], ids=str
)
@pytest.mark.parametrize('name', PREPROCESSORS)
def test_inputs_of_bytes_are_those_of_their_values(crops, name, memory_format):
    normalizer = InputNormalizer(PREPROCESSORS[name](), memory_format)
    blocks = [
        crops[:2].byte().contiguous(memory_format=torch.channels_last),
        crops[2:].byte(),
    ]

    ours = normalizer.inputs(blocks)

    expected = normalizer.inputs([crops])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    assert ours.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize('dtype', [torch.float32, torch.uint8])
def test_crops_stay_as_they_are(crops, dtype):
    crops = crops.to(dtype).contiguous(memory_format=torch.channels_last)
    before = crops.clone()
    preprocessor = PREPROCESSORS['swapped']()
    InputNormalizer(preprocessor, torch.channels_last).inputs([crops])
    assert torch.equal(crops, before)
