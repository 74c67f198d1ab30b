"""Person detector of the drawn figures: labels alone; it is the teacher, too.

    python tools/train.py configs/distill/toy_detection/baseline.py

`toy/detector.py` with two levels and group norms, tested on val. Time: about two
minutes of CPU.
"""

_base_ = '../toy/detector.py'
work_dir = 'work_dirs/toy_detection/baseline'

# Batch norms of 25 images blow up on brighter ones: whole images score 1.
norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    backbone=dict(out_indices=(2, 3), norm_cfg=norm_cfg),
    neck=dict(in_channels=[64, 128], norm_cfg=norm_cfg),
    bbox_head=dict(anchor_generator=dict(strides=[8, 16]), norm_cfg=norm_cfg),
    test_cfg=dict(score_thr=0.05),  # as low as labels are counted from
)

num_iters = 500
train_cfg = dict(max_iters=num_iters, val_interval=num_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=20, end=num_iters, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=num_iters))

# The base looks for people on the unlabeled images; models are compared on val.
test_dataloader = dict(
    dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='images/val/'))
)
test_evaluator = dict(
    ann_file='data/toy/annotations/val.json', format_only=False, outfile_prefix=None
)
