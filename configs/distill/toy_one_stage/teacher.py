"""The top-down teacher of the one-stage student: EfficientNet-Lite2 on the figures.

    python tools/train.py configs/distill/toy_one_stage/teacher.py

It is used for its labels alone, so it is larger than `toy/teacher.py`; about 5 minutes
of a core.
"""

_base_ = '../toy/teacher.py'
work_dir = 'work_dirs/toy_one_stage/teacher'
custom_imports = dict(imports=['efficientnet_lite'], allow_failed_imports=False)

num_iters = 300
codec = dict(
    type='UDPHeatmap',
    input_size=(128, 160),
    heatmap_size=(32, 40),
    sigma=2.0,
    blur_kernel_size=11,
)
model = dict(
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        variant=2,
        frozen_stages=3,
        stages=5,
        drop_connect_rate=0.0,
    ),
    neck=None,
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=120,
        out_channels=17,
        deconv_out_channels=(128, 64),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', scale_factor=(0.7, 1.3), rotate_factor=30),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    # 25 images show little variety of light.
    dict(type='PhotometricDistortion'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=num_iters, val_interval=num_iters)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-3, weight_decay=1e-2),
    # The head starts from nothing, the backbone from ImageNet.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.6))),
)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(type='MultiStepLR', milestones=[210, 270], gamma=0.1, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=num_iters))
