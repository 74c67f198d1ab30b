"""Unlabeled: frames of videos, as the paper takes 180,000 of Sports-1M.

`videos` is what a recipe puts instead of its `distill.unlabeled`, `detector` finds
the people.
"""

videos = dict(
    data_root='data/sports-1m/',
    sources=[
        dict(
            type='VideoSource',
            name='sports-1m',
            path='videos',
            # Neighboring frames teach the same; so do those of a still camera.
            seconds=2.0,
            duplicate_distance=6,
        )
    ],
)
detector = dict(
    config='mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v3.0/rtmdet/'
    'rtmdet_m_8xb32-300e_coco/rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth',
    categories=('person',),
)
