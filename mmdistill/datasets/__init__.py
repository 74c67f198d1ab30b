"""Data sets of unlabeled images and pseudo-labels, and the sampler that mixes them."""

from mmdistill.datasets.detection_dataset import DetectionDataset
from mmdistill.datasets.mask_ignored import MaskIgnored
from mmdistill.datasets.noise_transforms import JointOcclusion, NoiseSwitch
from mmdistill.datasets.pose_codec import PoseAnnotationProcessor
from mmdistill.datasets.pseudo_box_dataset import PseudoBoxDataset
from mmdistill.datasets.pseudo_image_dataset import PseudoImageDataset
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.samplers.finish_batch_sampler import FinishBatchSampler
from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import MixedRatioBatchSampler
from mmdistill.datasets.seeded_dataset import SeededDataset
from mmdistill.datasets.transforms import DropNoneValues
from mmdistill.datasets.unlabeled_dataset import UnlabeledDataset

__all__ = [
    'DetectionDataset',
    'DropNoneValues',
    'FinishBatchSampler',
    'JointOcclusion',
    'MaskIgnored',
    'MixedRatioBatchSampler',
    'NoiseSwitch',
    'PoseAnnotationProcessor',
    'PseudoBoxDataset',
    'PseudoImageDataset',
    'PseudoLabelDataset',
    'SeededDataset',
    'UnlabeledDataset',
]
