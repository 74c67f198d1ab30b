"""Toy baseline in one stage: YOLOX-Pose on EfficientNet-Lite0, on the labeled figures.

    python tools/train.py configs/distill/toy_one_stage/baseline.py

As many iterations as the students beside it, about 12 minutes of a core each.
"""

_base_ = 'mmpose::body_2d_keypoint/yoloxpose/coco/yoloxpose_s_8xb32-300e_coco-640.py'
work_dir = 'work_dirs/toy_one_stage/baseline'
custom_imports = dict(imports=['efficientnet_lite'], allow_failed_imports=False)

num_iters = 1500
data_root = 'data/toy/'
# Images have 256 x 192 pixels; the input is square, as MMPose's RandomFlip takes its
# width for its height.
size = (192, 192)
codec = dict(type='YOLOXPoseAnnotationProcessor', input_size=size)
model = dict(
    data_preprocessor=dict(batch_augments=None),
    # Features at stride 16: a figure is 30 to 60 pixels high.
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        frozen_stages=2,
        stages=5,
        drop_connect_rate=0.0,
    ),
    neck=dict(
        _delete_=True,
        type='mmdet.ChannelMapper',
        in_channels=[112],
        out_channels=128,
        kernel_size=1,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='Swish'),
    ),
    head=dict(
        featmap_strides=(16,),
        head_module_cfg=dict(widen_factor=0.5),
        prior_generator=dict(strides=[16]),
        # From the start: the stock schedule adds it in its last epochs, and the OKS has
        # no gradient where a keypoint is still far off.
        use_aux_loss=True,
        loss_kpt_aux=dict(type='L1Loss', use_target_weight=True, loss_weight=300.0),
    ),
    test_cfg=dict(score_thr=0.01),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='BottomupRandomAffine',
        input_size=size,
        shift_factor=0.1,
        rotate_factor=15,
        scale_factor=(0.8, 1.25),
        scale_type='long',
        pad_val=114,
        bbox_keep_corner=False,
        clip_border=True,
    ),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip'),
    dict(type='FilterAnnotations', by_kpt=True, by_box=True, keep_empty=False),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupResize', input_size=size, pad_val=(114, 114, 114)),
    dict(
        type='PackPoseInputs',
        meta_keys=(
            *('id', 'img_id', 'img_path', 'ori_shape', 'img_shape'),
            *('input_size', 'input_center', 'input_scale'),
        ),
    ),
]
train_dataloader = dict(
    batch_size=8,
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
    batch_size=20,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
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
# The head starts from nothing, the backbone from ImageNet.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=35, norm_type=2),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=50, end=num_iters, by_epoch=False),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=num_iters, save_best=None),
    logger=dict(interval=50),
)
# The base averages weights and switches pipelines over 300 epochs.
custom_hooks = []
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
