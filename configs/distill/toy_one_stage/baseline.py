"""Toy baseline in one stage: a thin YOLOX-Pose from scratch on the labeled figures.

    python tools/train.py configs/distill/toy_one_stage/baseline.py

As many iterations as the students beside it. Not trained to its end here; after 350
iterations neither it nor the student finds a pose (AP 0.00002 and 0.00004).
"""

_base_ = 'mmpose::body_2d_keypoint/yoloxpose/coco/yoloxpose_s_8xb32-300e_coco-640.py'
work_dir = 'work_dirs/toy_one_stage/baseline'

num_iters = 2000
data_root = 'data/toy/'
# A figure is 40 to 80 pixels high; the level of stride 8 is left out.
size = (128, 128)
codec = dict(type='YOLOXPoseAnnotationProcessor', input_size=size)
model = dict(
    data_preprocessor=dict(batch_augments=None),
    backbone=dict(widen_factor=0.125, out_indices=(3, 4), init_cfg=None),
    neck=dict(in_channels=[64, 128], out_channels=32),
    head=dict(
        featmap_strides=(16, 32),
        head_module_cfg=dict(widen_factor=0.125),
        prior_generator=dict(strides=[16, 32]),
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
# One group of parameters: a step over hundreds of groups takes longer.
optim_wrapper = dict(optimizer=dict(lr=3e-3), paramwise_cfg=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=20, end=num_iters, by_epoch=False),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=num_iters, save_best=None),
    logger=dict(interval=50),
)
# The base averages weights and switches pipelines over 300 epochs.
custom_hooks = []
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
