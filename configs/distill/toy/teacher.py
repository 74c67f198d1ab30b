"""Toy teacher: a thin ResNet-18 from scratch on the labeled figures.

    python tools/train.py configs/distill/toy/teacher.py

Time on 2 cores: about a minute.
"""

_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'  # noqa: E501
work_dir = 'work_dirs/toy/teacher'

num_iters = 500
data_root = 'data/toy/'
# The codec truncates 3 sigma towards zero: another sigma than a whole number
# shifts the targets next to the border by one cell.
codec = dict(
    type='UDPHeatmap',
    input_size=(64, 96),
    heatmap_size=(16, 24),
    sigma=1,
    blur_kernel_size=3,
)
model = dict(
    backbone=dict(
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        zero_init_residual=False,
        init_cfg=None,
    ),
    # From scratch, deconvolutions learn too slowly: join all stages instead.
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(
        in_channels=224,
        deconv_out_channels=None,
        conv_out_channels=(64, 64),
        conv_kernel_sizes=(1, 3),
        decoder=codec,
    ),
    test_cfg=dict(shift_heatmap=False),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', scale_factor=(0.8, 1.25), rotate_factor=30),
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
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/labeled.json',
        data_prefix=dict(img='images/labeled/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
        bbox_file=None,
        data_prefix=dict(img='images/val/'),
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=num_iters,
    val_interval=num_iters,
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=20, end=num_iters, by_epoch=False),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=num_iters, save_best=None),
    logger=dict(interval=50),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
