"""ViTPose-S, labeled co-115 (train2017), unlabeled frames of videos.

    python tools/train.py configs/distill/coco/vitpose-s_co-115_videos.py

The paper's third unlabeled set. Needs COCO 2017 in data/coco, videos in data/sports-1m/videos
and the network for the detector. Not trained here.
"""

_base_ = ['vitpose-s_co-115_un-120.py', '../../_base_/videos.py']
work_dir = 'work_dirs/coco/vitpose-s_co-115_videos'
distill = dict(
    unlabeled=dict(_delete_=True, **_base_.videos),
    detector=_base_.detector,
    store='work_dirs/coco/vitpose-s_co-115_videos/labels',
)
