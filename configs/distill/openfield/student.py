"""The student: 40 labels of one mouse and a video of another, mixed 6 to 4.

    python tools/train.py configs/distill/openfield/student.py

Labels the video first (the teacher must be trained), then trains. Nothing is
extracted by hand: frames are labeled from the video, the box of each around the
keypoints of the one before; those that look like the one before are left out, and the
kept ones are written into the store.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/openfield/student'

distill = dict(
    teacher=dict(checkpoint='work_dirs/openfield/teacher/iter_600.pth'),
    views=dict(scales=(0.8, 1.0), rotations=(-30, 30)),
    unlabeled=dict(
        data_root='data/openfield/',
        sources=[
            dict(
                type='VideoSource',
                name='m3v1',
                path='videos/m3v1mp4.mp4',
                every=5,  # six a second
                duplicate_distance=6,
            ),
        ],
        follow=dict(padding=1.5),
    ),
    store='work_dirs/openfield/labels',
    schedule=dict(max_factor=1.0),  # as long as the baseline
)
