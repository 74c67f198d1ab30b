"""The supervised baseline: EfficientNet-Lite0 at 96x96 on the 600 labeled images.

    python tools/train.py configs/distill/lspe/baseline.py

MMPose's MobileNetV2 recipe with another backbone, codec and schedule. The student has
its model and its number of iterations.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py',
    '../../_base_/datasets/lspe.py',
]
work_dir = 'work_dirs/lspe/baseline'
custom_imports = dict(imports=['efficientnet_lite'], allow_failed_imports=False)
randomness = dict(seed=0)

train_cfg = dict(_delete_=True, by_epoch=False, max_iters=800, val_interval=800)
log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(
        _delete_=True,
        type='CheckpointHook',
        by_epoch=False,
        interval=200,
        max_keep_ckpts=1,
    )
)
# The head starts from nothing, the backbone from ImageNet.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-3, weight_decay=1e-2),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.6))),
)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(type='MultiStepLR', milestones=[560, 720], gamma=0.1, by_epoch=False),
]

codec = dict(
    type='UDPHeatmap',
    input_size=(96, 96),
    heatmap_size=(24, 24),
    sigma=1.5,
    blur_kernel_size=9,
)
model = dict(
    # Short trainings: features at stride 16 still have cells in a crop this small,
    # and learn faster than those at 32; edges and textures of ImageNet serve as they are.
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        variant=0,
        frozen_stages=3,
        stages=5,
        drop_connect_rate=0.0,
    ),
    head=dict(
        in_channels=112,
        out_channels=14,
        deconv_out_channels=(128, 64),
        deconv_kernel_sizes=(4, 4),
        decoder=codec,
    ),
    test_cfg=dict(shift_heatmap=False),
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
data_root = 'data/lspe/'
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        data_root=data_root,
        metainfo=_base_.dataset_info,
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        metainfo=_base_.dataset_info,
        ann_file='annotations/val.json',
        bbox_file=None,
        data_prefix=dict(img='images/'),
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

# PCK at 0.2 forgives 15 of 96 pixels; the smaller radii, `p10/PCK` and `p05/PCK` in the
# results, and AP tell how precise joints are.
val_evaluator = [
    dict(type='CocoMetric', ann_file=data_root + 'annotations/val.json'),
    dict(type='PCKAccuracy', thr=0.2, norm_item='bbox'),
    dict(type='PCKAccuracy', thr=0.1, norm_item='bbox', prefix='p10'),
    dict(type='PCKAccuracy', thr=0.05, norm_item='bbox', prefix='p05'),
]
test_evaluator = val_evaluator
