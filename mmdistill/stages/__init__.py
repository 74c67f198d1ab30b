"""The stages of a distillation: detect, label, select, train, test, export."""

from mmdistill.stages.detections import detect
from mmdistill.stages.run import (
    export_coco,
    label,
    labeling_config,
    select,
    status,
    test,
    train,
    training_config,
)
from mmdistill.stages.single_round import round_config, train_round
from mmdistill.stages.supervised import supervised_config

__all__ = [
    'detect',
    'export_coco',
    'label',
    'labeling_config',
    'round_config',
    'select',
    'status',
    'supervised_config',
    'test',
    'train',
    'train_round',
    'training_config',
]
