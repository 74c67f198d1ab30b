"""The supervised baseline: the 40 labels at the student's number of iterations.

python tools/train.py configs/distill/openfield/baseline.py
"""

_base_ = 'teacher.py'
work_dir = 'work_dirs/openfield/baseline'
