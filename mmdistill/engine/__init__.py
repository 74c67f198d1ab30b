"""What runs inside MMEngine's runner: the loop, the hooks, safe loading."""

from mmdistill.engine import checkpoint  # noqa: F401  (registers the safe loaders)
from mmdistill.engine.count_matching_hook import CountMatchingHook
from mmdistill.engine.label_loop import LabelLoop
from mmdistill.engine.resumable_loops import ResumableEpochLoop, ResumableIterLoop
from mmdistill.engine.source_pipeline_switch_hook import SourcePipelineSwitchHook
from mmdistill.engine.student_log_hook import StudentLogHook
from mmdistill.engine.teacher_guard_hook import TeacherGuardHook

__all__ = [
    'CountMatchingHook',
    'LabelLoop',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'SourcePipelineSwitchHook',
    'StudentLogHook',
    'TeacherGuardHook',
]
