"""HRNet-W48 as Noisy Student: co-115 (train2017), un-120, noise, three rounds.

    python tools/train.py configs/distill/coco/hrnet-w48_noisy_student.py

The paper's large-scale setting with what followed it (Xie et al., CVPR 2020): a student
as large as its teacher, hard views for the student alone, and the student as the next
teacher. Round 1 reads the labels that `hrnet-w48_co-115_un-120.py` makes, and makes them
if they are not there. Needs COCO 2017 in data/coco and detections of people on
unlabeled2017. Not trained here.
"""

_base_ = 'hrnet-w48_co-115_un-120.py'
work_dir = 'work_dirs/coco/hrnet-w48_noisy_student'
distill = dict(noise=dict(), rounds=dict(number=3))
