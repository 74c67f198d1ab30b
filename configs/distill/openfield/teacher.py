"""The teacher: EfficientNet-Lite0 on 40 labeled frames of one mouse.

    python tools/train.py configs/distill/openfield/teacher.py

No detector: where a video begins, the mouse is found on the whole frame; from then on
it is followed. So the teacher learns both, the mouse in its box and, every other time,
the mouse on its frame. Evaluated in the annotated boxes, with the error in pixels.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py',
    '../../_base_/datasets/openfield.py',
]
work_dir = 'work_dirs/openfield/teacher'
custom_imports = dict(
    imports=['efficientnet_lite', 'whole_frame'], allow_failed_imports=False
)
randomness = dict(seed=0)

train_cfg = dict(_delete_=True, by_epoch=False, max_iters=600, val_interval=600)
log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(
        _delete_=True,
        type='CheckpointHook',
        by_epoch=False,
        interval=100,
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
    dict(type='MultiStepLR', milestones=[420, 540], gamma=0.1, by_epoch=False),
]

# A mouse of 120 pixels fills the input as a person does: its ears, 20 pixels apart, are
# two peaks. On the whole frame of 640 x 480 they are one.
codec = dict(
    type='UDPHeatmap',
    input_size=(256, 192),
    heatmap_size=(64, 48),
    sigma=2,
    blur_kernel_size=11,
)
model = dict(
    # Features at stride 16, as in ../lspe/: short trainings learn faster from them.
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        frozen_stages=3,
        stages=5,
        drop_connect_rate=0.0,
    ),
    head=dict(
        in_channels=112,
        out_channels=4,
        deconv_out_channels=(128, 64),
        deconv_kernel_sizes=(4, 4),
        decoder=codec,
    ),
    test_cfg=dict(shift_heatmap=False),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='WholeFrameBox', prob=0.5),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction=['horizontal', 'vertical']),
    dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), rotate_factor=180),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
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
data_root = 'data/openfield/'
train_dataloader = dict(
    batch_size=16,
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

# PCK counts errors below 0.05 of the box's longer side, 7 of some 146 pixels: the
# snout is 13 pixels from an ear. EPE is the mean error in pixels.
val_evaluator = [
    dict(type='PCKAccuracy', thr=0.05, norm_item='bbox'),
    dict(type='EPE'),
]
test_evaluator = val_evaluator
