"""RTMDet-nano at 320 pixels for people alone, of MMPose's top-down demos."""

_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

size = (320, 320)
metainfo = dict(classes=('person',))
pad = dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114)))
crop = [
    dict(type='RandomCrop', crop_size=size),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    pad,
    dict(type='PackDetInputs'),
]
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
mosaic = dict(
    type='CachedMosaic', img_scale=size, max_cached_images=20, random_pop=False
)
resize = dict(type='RandomResize', ratio_range=(0.5, 1.5), keep_ratio=True)
train_pipeline = [*load, mosaic, dict(resize, scale=(640, 640)), *crop]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=True),
    pad,
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

model = dict(
    backbone=dict(
        deepen_factor=0.33, widen_factor=0.25, use_depthwise=True, init_cfg=None
    ),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, use_depthwise=True),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        share_conv=False,
        use_depthwise=True,
        num_classes=1,
    ),
    test_cfg=dict(score_thr=0.05, nms=dict(iou_threshold=0.6), max_per_img=100),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, metainfo=metainfo))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, metainfo=metainfo))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, metainfo=metainfo))
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.0002,
        update_buffers=True,
        priority=49,
    ),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=280,
        switch_pipeline=[*load, dict(resize, scale=size), *crop],
    ),
]
