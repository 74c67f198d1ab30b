"""Metainfo of a chain of keypoints, in any order of their numbers."""

from __future__ import annotations

NAMES = [f'{side}_{part}' for part in 'abcdef' for side in ('left', 'right')] + ['top']
NUMBERS = range(len(NAMES))


def chain(order=NUMBERS):
    """Metainfo of 13 keypoints, six pairs and one alone, in any order of numbers."""
    partners = {
        name: name.replace('left', 'x').replace('right', 'left') for name in NAMES
    }
    partners = {name: each.replace('x', 'right') for name, each in partners.items()}
    return dict(
        dataset_name='chain',
        keypoint_info={
            i: dict(name=NAMES[i], id=i, swap=partners[NAMES[i]], color=[i, i, i])
            for i in order
        },
        skeleton_info={
            i: dict(link=(NAMES[i], NAMES[i + 1]), id=i) for i in order if i < 12
        },
        joint_weights=[1.0] * len(NAMES),
        sigmas=[0.05] * len(NAMES),
    )


PARTNERS = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12]
AS_TEXT = sorted(range(len(NAMES)), key=str)
