"""A distillation whose student is noised, in the place of `distill.py`.

    _base_ = ['teacher.py', '../../_base_/noisy_student.py']

Noisy Student (Xie et al., CVPR 2020): what the teacher labels in easy views, the
student learns from hard ones.
"""

_base_ = 'distill.py'

distill = dict(
    # Joints covered, colors, a wider box; on pseudo-labeled samples alone.
    noise=dict(),
)
