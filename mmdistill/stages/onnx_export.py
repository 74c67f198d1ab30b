"""A trained model as an ONNX file, checked against PyTorch before it is kept.

The file takes crops as the test pipeline cuts them (BGR, 0 to 255); normalization is in
it. It gives out what the head does: decoding is the codec's, as in MMPose.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.models.heads import VisPredictHead
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from mmdistill.config.datasets import members_of, parsed_metainfo
from mmdistill.config.metainfo import keypoint_names
from mmdistill.engine.checkpoint import TESTED, load_checkpoint_strict
from mmdistill.errors import CheckpointError, ConfigError
from mmdistill.functional.views import View
from mmdistill.models.adapters.build import build_adapter, check_estimator
from mmdistill.models.input_normalizer import InputNormalizer
from mmdistill.utils.files import write_whole
from mmdistill.utils.torch_version import require_full

MODULES = ('onnx', 'onnxscript', 'onnxruntime')
INSTALL = 'pip install "mmdistill[onnx]"'
OUTPUT_TOLERANCE = 1e-4
"""Maximum difference of a network output, relative to its largest value."""
KEYPOINT_TOLERANCE = 0.05
"""Maximum difference of a decoded keypoint, pixels of the network's input."""
ROUNDING = 1e-5
"""Change of an output, relative to its largest value, by which nothing may depend on
it: keypoints that it moves, as where two peaks are equal, are not compared."""
INPUT = 'pixels'
"""Name of the file's input."""
CROPS = 8
"""Number of crops that both networks see."""
COMPILED = 'mmcv.ops.'
"""Where operators are compiled that ONNX does not know."""


@dataclass(frozen=True)
class Checked:
    """How far an ONNX file and its model differ.

    Attributes:
        output: Maximum difference of outputs, relative to the largest value.
        keypoint: Maximum difference of compared keypoints, pixels of the input; 0 where
            none is compared.
        compared: Number of compared keypoints: those that rounding does not move.
        total: Number of all keypoints.
    """

    output: float
    keypoint: float
    compared: int
    total: int


class ExportedNetwork(nn.Module):
    """A pose estimator from pixels to what its head gives out, as flat tensors.

    Args:
        model: The estimator, in evaluation mode.
        channels: The input's channel, scale and shift of each channel of the network's
            input, as `InputNormalizer.channels` has them.
    """

    def __init__(
        self, model: Any, channels: Sequence[tuple[int, float, float]]
    ) -> None:
        super().__init__()
        self.model = model
        self.channels = channels

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs.

        Args:
            pixels: Crops, BGR, 0 to 255, (N, 3, H, W).
        """
        inputs = torch.stack(
            [pixels[:, i] * scale + shift for i, scale, shift in self.channels], dim=1
        )
        return tuple(flatten(self.model.head.forward(self.model.extract_feat(inputs))))


def export_onnx(config: Config, checkpoint: str, path: Path) -> Checked:
    """Export a trained model as an ONNX file, and check it against PyTorch.

    Args:
        config: A config of a top-down model; what it is tested on gives the crops.
        checkpoint: Its weights.
        path: The file, written whole or not at all.

    Returns:
        How far both differ, within the tolerances.

    Raises:
        ConfigError: If a package is missing, or the model cannot be exported.
        CheckpointError: If the checkpoint does not fit, or the exported network gives
            out something else.
    """
    import_packages()
    model = _trained_model(config, checkpoint)
    frame = build_adapter(model).frame_of(View())
    crops, what = _crops(config, frame.width, frame.height)
    checked = export_model(model, crops, path, _properties(config, frame))
    print_log(_sentence(path, checked, what), logger='current')
    return checked


def export_model(
    model: Any, crops: Tensor, path: Path, properties: Mapping[str, str]
) -> Checked:
    """Export an estimator as an ONNX file, and check it against PyTorch.

    Args:
        model: The estimator, in evaluation mode on the CPU.
        crops: Crops to compare on, BGR, 0 to 255, (N, 3, H, W), at least two.
        path: The file, written whole or not at all.
        properties: Metadata of the file.

    Returns:
        How far both differ.

    Raises:
        ConfigError: If a package is missing, or the model cannot be exported.
        CheckpointError: If the exported network gives out something else.
    """
    runtime = import_packages()
    network = ExportedNetwork(model, _channels(model)).eval()
    with torch.no_grad():
        outputs = network(crops)
    checks: list[Checked] = []

    def write(temporary: Path) -> None:
        _export(network, crops[:2], len(outputs), temporary, properties)
        session = runtime.InferenceSession(
            str(temporary), providers=['CPUExecutionProvider']
        )
        found = session.run(None, {INPUT: crops.numpy()})
        exported = [torch.from_numpy(each) for each in found]
        checks.append(compare_outputs(model, crops, outputs, exported))

    write_whole(path, write)
    return checks[0]


def import_packages() -> ModuleType:
    """Import what an export needs.

    Returns:
        onnxruntime.

    Raises:
        ConfigError: If a package is missing, with the command that installs it, or
            torch is too old.
    """
    require_full('an export to ONNX')
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(
                f'an export to ONNX needs the package {name}, which does not import '
                f'({error}); run `{INSTALL}`'
            ) from error
    return module


def flatten(output: Any) -> list[Tensor]:
    """List the tensors of a head's output.

    Args:
        output: A tensor, or nested lists, tuples and dicts of tensors.

    >>> [len(t) for t in flatten((torch.zeros(1), [torch.zeros(2), torch.zeros(3)]))]
    [1, 2, 3]
    """
    if output is None:
        return []
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output
    return [tensor for part in parts for tensor in flatten(part)]


def nested(like: Any, tensors: Sequence[Tensor]) -> Any:
    """Put tensors in the form of a head's output; the inverse of `flatten`.

    Args:
        like: An output of the same form.
        tensors: Its tensors.

    >>> nested((torch.zeros(1), [torch.zeros(1)]), [torch.ones(1), torch.ones(2)])
    (tensor([1.]), [tensor([1., 1.])])
    """
    rest = iter(tensors)

    def fill(part: Any) -> Any:
        if part is None:
            return None
        if isinstance(part, Tensor):
            return next(rest)
        if isinstance(part, Mapping):
            return {key: fill(value) for key, value in part.items()}
        return type(part)(fill(each) for each in part)

    return fill(like)


def _trained_model(config: Config, checkpoint: str) -> Any:
    """The model with its weights, in evaluation mode on the CPU."""
    if not config.get('model'):
        raise ConfigError(f'{config.filename} has no model to export')
    check_estimator(config.model)
    init_default_scope(config.get('default_scope') or 'mmpose')
    model = MODELS.build(copy.deepcopy(config.model))
    weights = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    load_checkpoint_strict(model, weights, TESTED)
    _check_operators(model)
    return model.eval()


def _check_operators(model: Any) -> None:
    """Refuse operators that are compiled, and so have no form in ONNX."""
    compiled = {
        type(part).__name__
        for part in model.modules()
        if type(part).__module__.startswith(COMPILED)
    }
    if compiled:
        raise ConfigError(
            f'{_name_of(model)} cannot be exported: {" and ".join(sorted(compiled))} '
            'of mmcv has no operator of ONNX; MMDeploy has some of them'
        )


def _channels(model: Any) -> list[tuple[int, float, float]]:
    normalizer = InputNormalizer(model.data_preprocessor, torch.contiguous_format)
    if normalizer.channels is None:
        name = type(model.data_preprocessor).__name__
        raise ConfigError(
            f'{_name_of(model)} cannot be exported: its {name} does more than '
            'to scale, shift and reorder channels'
        )
    return normalizer.channels


def _name_of(model: Any) -> str:
    head, backbone = getattr(model, 'head', model), getattr(model, 'backbone', None)
    name = type(head).__name__
    return name if backbone is None else f'{name} on {type(backbone).__name__}'


def _crops(config: Config, width: int, height: int) -> tuple[Tensor, str]:
    """Crops to compare on, (N, 3, H, W), and what they are of."""
    for key in ('test_dataloader', 'val_dataloader'):
        dataset = (config.get(key) or {}).get('dataset')
        if dataset and all(map(_is_there, members_of(dataset))):
            built = DATASETS.build(copy.deepcopy(dataset))
            numbers = np.linspace(0, len(built) - 1, min(CROPS, len(built)))
            samples = [built[int(number)]['inputs'] for number in numbers]
            if samples:
                return torch.stack(samples).float(), f'crops of {key}'
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(
        CROPS, 3, height // 16 + 1, width // 16 + 1, generator=generator
    )
    noise = nn.functional.interpolate(coarse, (height, width), mode='bilinear')
    return (noise * 255).round(), 'drawn noise, as the images of no set are here'


def _is_there(member: Mapping[str, Any]) -> bool:
    ann_file = member.get('ann_file')
    root = str(member.get('data_root') or '')
    return bool(ann_file) and Path(root, str(ann_file)).is_file()


def _export(
    network: ExportedNetwork,
    crops: Tensor,
    num_outputs: int,
    path: Path,
    properties: Mapping[str, str],
) -> None:
    """Write the network by torch's exporter, for any number of crops."""
    names = (
        ['output'] if num_outputs == 1 else [f'output_{i}' for i in range(num_outputs)]
    )
    batch = torch.export.Dim('batch')
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (crops,),
                dynamo=True,
                input_names=[INPUT],
                output_names=names,
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
            assert program is not None
            program.model.metadata_props.update(properties)
            program.save(str(path), external_data=False)
    except Exception as error:
        reason = ' '.join(str(error).split())[:300]
        raise ConfigError(
            f'{_name_of(network.model)} cannot be exported: torch says {reason}'
        ) from error


@contextmanager
def _quiet() -> Any:
    """Without the exporter's notes to its own developers."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _properties(config: Config, frame: Any) -> dict[str, str]:
    """What a reader of the file needs to know, as its metadata."""
    dataset = next(
        config[key].dataset
        for key in ('test_dataloader', 'val_dataloader', 'train_dataloader')
        if config.get(key)
    )
    head = config.model.get('head') or {}
    return dict(
        keypoints=json.dumps(keypoint_names(parsed_metainfo(dataset))),
        input_size=json.dumps([frame.width, frame.height]),
        use_udp=json.dumps(frame.use_udp),
        codec=json.dumps(head.get('decoder'), default=list),
        pixels='crops, BGR, 0 to 255, (N, 3, height, width)',
    )


def compare_outputs(
    model: Any,
    crops: Tensor,
    outputs: Sequence[Tensor],
    exported: Sequence[Tensor],
) -> Checked:
    """Compare outputs of the exported network with those of its model.

    Args:
        model: The estimator.
        crops: The crops, (N, 3, H, W).
        outputs: Its outputs, flat.
        exported: Those of the exported network.

    Raises:
        CheckpointError: If they differ by more than the tolerances.
    """
    difference = max(
        float((a - b).abs().max() / a.abs().max().clamp(min=1e-12))
        for a, b in zip(outputs, exported, strict=True)
    )
    decoded = _decoded(model, crops, outputs)
    sure = np.ones(decoded.shape[:2], dtype=bool)
    for sign in (1, -1):
        rounded = _decoded(model, crops, [_changed(each, sign) for each in outputs])
        sure &= _distances(decoded, rounded) <= KEYPOINT_TOLERANCE
    distances = _distances(decoded, _decoded(model, crops, exported))[sure]
    moved = float(distances.max(initial=0.0))
    checked = Checked(difference, moved, int(sure.sum()), sure.size)
    if difference > OUTPUT_TOLERANCE or checked.keypoint > KEYPOINT_TOLERANCE:
        raise CheckpointError(
            f'the exported {_name_of(model)} gives out something else than the model: '
            f'outputs differ by {difference:.2g} of their largest value (at most '
            f'{OUTPUT_TOLERANCE:g}), keypoints by {checked.keypoint:.3g} pixels (at '
            f'most {KEYPOINT_TOLERANCE:g}); nothing is written'
        )
    return checked


def _changed(output: Tensor, sign: int) -> Tensor:
    """An output with noise of the size of rounding."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(output.shape, generator=generator) * 2 - 1
    return output + sign * ROUNDING * output.abs().max() * noise


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.linalg.norm(one - other, axis=-1)
    return distances


def _decoded(model: Any, crops: Tensor, tensors: Sequence[Tensor]) -> np.ndarray:
    """Keypoints in pixels of the input, (N, K, 2), as the head predicts them."""
    with torch.no_grad():
        feats = model.extract_feat(crops[:1])
        like = model.head.forward(feats)
    # Copies: some heads change their outputs in place.
    output, head = nested(like, [each.clone() for each in tensors]), model.head
    if isinstance(head, VisPredictHead):
        output, head = output[0], head.pose_head
    # A copy that shares all weights and returns the outputs given.
    head = copy.copy(head)
    head.forward = lambda *_: output
    test_cfg = {**(model.test_cfg or {}), 'flip_test': False, 'output_heatmaps': False}
    instances = head.predict(feats, [PoseDataSample() for _ in crops], test_cfg)
    return np.concatenate([one.keypoints[..., :2] for one in instances])


def _sentence(path: Path, checked: Checked, what: str) -> str:
    return (
        f'wrote {path}; against PyTorch on {what}: outputs differ by '
        f'{checked.output:.1e} of their largest value (tolerance '
        f'{OUTPUT_TOLERANCE:g}), keypoints by {checked.keypoint:.1e} pixels '
        f'(tolerance {KEYPOINT_TOLERANCE:g}), {checked.compared} of {checked.total}, '
        'the others being decided by rounding'
    )
