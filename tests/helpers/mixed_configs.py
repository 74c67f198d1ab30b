"""Configs of data sets that are made of several."""

from __future__ import annotations

from tests.helpers.metainfo import COCO

AIC = [(0, 6), (1, 8), (2, 10), (3, 5), (4, 7), (5, 9), (6, 12), (7, 14), (8, 16)]
"""Keypoints of AI Challenger as those of COCO."""
LOAD = dict(type='LoadImage')
PACK = dict(type='mmpose.PackPoseInputs', meta_keys=('id',))


def combined(*parts, **settings):
    """A combined data set as a config, with the keypoints of COCO."""
    return dict(type='CombinedDataset', metainfo=COCO, datasets=list(parts), **settings)


def with_pipelines(own, *sources):
    """A mix as a config, of sources with these pipelines."""
    datasets = [dict(type='Source', pipeline=list(steps)) for steps in sources]
    return dict(type='Mix', datasets=datasets, **({'pipeline': own} if own else {}))
