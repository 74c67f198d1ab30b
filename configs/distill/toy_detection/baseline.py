"""Person detector of the drawn figures: labels alone, as long as the student.

    python tools/train.py configs/distill/toy_detection/baseline.py

The teacher is `toy/detector.py`, the same with half the iterations. Time: about three
minutes of CPU.
"""

_base_ = '../toy/detector.py'
work_dir = 'work_dirs/toy_detection/baseline'

num_iters = 800
train_cfg = dict(max_iters=num_iters, val_interval=num_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=20, end=num_iters, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=num_iters))
# As low as labels are counted from.
model = dict(test_cfg=dict(score_thr=0.05))

# The base looks for people on the unlabeled images; models are compared on val.
test_dataloader = dict(
    dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='images/val/'))
)
test_evaluator = dict(
    ann_file='data/toy/annotations/val.json', format_only=False, outfile_prefix=None
)
