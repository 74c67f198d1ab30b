"""Two rounds: a student as large as the teacher labels for the student that is used.

    python tools/train.py configs/distill/lspe/two_rounds.py

Round 1 trains the teacher's network on the labels of `student.py`, which it makes if they
are not there. Its student labels the images anew, and round 2 trains the small network on
these labels. Of use where labels are few and the first teacher is far from true labels.
"""

_base_ = 'student.py'
work_dir = 'work_dirs/lspe/two_rounds'
distill = dict(
    rounds=dict(
        number=2, settings=[dict(config='configs/distill/lspe/teacher.py'), dict()]
    )
)
