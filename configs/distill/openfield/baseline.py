"""The supervised baseline: the 40 labels at the student's number of iterations.

python tools/train.py configs/distill/openfield/baseline.py

The student trains as long as its teacher, so this is the teacher's own training; a
recipe with a longer student states its length here.
"""

_base_ = 'teacher.py'
work_dir = 'work_dirs/openfield/baseline'
