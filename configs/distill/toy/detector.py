"""Toy person detector: a thin RTMDet from scratch on the labeled images.

    python tools/train.py configs/distill/toy/detector.py
    python tools/detect.py configs/distill/toy/student.py

An ordinary config of MMDetection. The second command finds the people of the student's
unlabeled images; tools/label.py does so too. Time: about 90 s of CPU for the training.
"""

_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
work_dir = 'work_dirs/toy/detector'

num_iters = 400
data_root = 'data/toy/'
metainfo = dict(classes=('person',))
# Half the pixels of a side: a person is still 40 to 80 pixels high.
size = (128, 96)
norm_cfg = dict(type='BN')
model = dict(
    # Other images than the drawn ones may be upright.
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(widen_factor=0.25, norm_cfg=norm_cfg, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, norm_cfg=norm_cfg),
    bbox_head=dict(
        num_classes=1,
        in_channels=64,
        feat_channels=64,
        exp_on_reg=True,
        norm_cfg=norm_cfg,
    ),
    test_cfg=dict(score_thr=0.1, nms=dict(iou_threshold=0.45), max_per_img=8),
)

pad = dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=size, ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomCrop', crop_size=size, allow_negative_crop=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    pad,
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=True),
    pad,
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
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
        metainfo=metainfo,
        # Images with nobody teach what a person is not.
        filter_cfg=dict(filter_empty_gt=False, min_size=0),
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
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=20,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/unlabeled.json',
        data_prefix=dict(img='images/unlabeled/'),
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = dict(
    ann_file=data_root + 'annotations/unlabeled.json',
    format_only=True,
    outfile_prefix='work_dirs/toy/detections',
)

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=num_iters,
    val_interval=num_iters,
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=20, end=num_iters, by_epoch=False),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=num_iters),
    logger=dict(interval=50),
)
# The base averages weights and switches pipelines over 300 epochs.
custom_hooks = []
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
