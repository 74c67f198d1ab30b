"""Toy baseline: the teacher's recipe with as many iterations as the student.

    python tools/train.py configs/distill/toy/baseline.py

Time on 2 cores: about two minutes.
"""

_base_ = 'teacher.py'
work_dir = 'work_dirs/toy/baseline'

num_iters = 700
train_cfg = dict(max_iters=num_iters, val_interval=num_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=20, end=num_iters, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=num_iters))
