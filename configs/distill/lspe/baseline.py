"""The supervised baseline: the 600 labels at the student's number of iterations.

python tools/train.py configs/distill/lspe/baseline.py
"""

_base_ = 'teacher.py'
work_dir = 'work_dirs/lspe/baseline'

train_cfg = dict(max_iters=1500, val_interval=1500)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(type='MultiStepLR', milestones=[1050, 1350], gamma=0.1, by_epoch=False),
]
