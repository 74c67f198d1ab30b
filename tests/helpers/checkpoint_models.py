"""Small models whose checkpoints are checked."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

NAMES = ('nose', 'left_eye')


class Fusing(nn.Module):
    """Wraps a teacher, as the fusing model does."""

    num_keypoints = len(NAMES)
    output_indices: Sequence[int] | None = None

    def __init__(self):
        super().__init__()
        self.module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.teachers = [None]


class Head(nn.Module):
    """A head of two classes."""

    num_classes = 2


class Wrapper(nn.Module):
    """Wraps a detector, and notes what it shall look for."""

    def __init__(self):
        super().__init__()
        self.module = nn.Module()
        self.module.bbox_head = Head()
        self.module.bbox_head.layer = nn.Linear(1, 2)

    def set_classes(self, classes, categories):
        self.told = (list(classes), categories)


class Estimator(nn.Module):
    """Named as the parts of MMPose's models are."""

    def __init__(self, depth=2, bias=True):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 1, bias=bias),
            nn.BatchNorm2d(4),
            *(nn.Conv2d(4, 4, 1) for _ in range(depth)),
        )
        self.head = nn.Module()
        self.head.final_layer = nn.Conv2d(4, 2, 1)


def prefixed(weights, prefix):
    return {f'{prefix}{key}': value for key, value in weights.items()}
