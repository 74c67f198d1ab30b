"""The teacher: a larger network at 128x128 on the 600 labeled images.

    python tools/train.py configs/distill/lspe/teacher.py

It is used for its labels alone, so it may be slower than the student: EfficientNet-Lite2
in the place of Lite0, and cells of three quarters of the size.
"""

_base_ = 'baseline.py'
work_dir = 'work_dirs/lspe/teacher'

codec = dict(
    type='UDPHeatmap',
    input_size=(128, 128),
    heatmap_size=(32, 32),
    sigma=2.0,
    blur_kernel_size=11,
)
model = dict(
    backbone=dict(variant=2),
    head=dict(in_channels=120, decoder=codec),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', scale_factor=(0.7, 1.3), rotate_factor=40),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
