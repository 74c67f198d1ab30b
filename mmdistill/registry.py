"""Registries of mmdistill, as children of MMEngine's root registries.

``type='mmdistill.X'`` therefore builds under any default scope, without
``custom_imports``.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import Registry
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_KEYPOINT_CODECS

# Modules, not the package: selecting needs no runner, which takes a second to import.
ENGINE_MODULES = [
    'mmdistill.engine.hooks.averaging_hook',
    'mmdistill.engine.hooks.box_fit_hook',
    'mmdistill.engine.checkpoint',
    'mmdistill.engine.hooks.config_text_hook',
    'mmdistill.engine.hooks.count_matching_hook',
    'mmdistill.engine.loops.detect_loop',
    'mmdistill.engine.hooks.checkpoint_guard_hooks',
    'mmdistill.engine.hooks.feature_dropout_hook',
    'mmdistill.engine.hooks.finish_hook',
    'mmdistill.engine.hooks.finite_guard_hook',
    'mmdistill.engine.hooks.instance_guard_hook',
    'mmdistill.engine.hooks.label_mix_hook',
    'mmdistill.engine.hooks.mode_switch_hook',
    'mmdistill.engine.loops.label_loop',
    'mmdistill.engine.hooks.plain_model_hook',
    'mmdistill.engine.loops.resumable_loops',
    'mmdistill.engine.hooks.pipeline_switch_hook',
    'mmdistill.engine.hooks.student_log_hook',
]
"""Modules that register hooks, loops and, in `checkpoint`, the safe loaders."""

MODELS = Registry(
    'model', parent=MMENGINE_MODELS, scope='mmdistill', locations=['mmdistill.models']
)
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='mmdistill',
    locations=['mmdistill.datasets'],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope='mmdistill',
    locations=['mmdistill.datasets'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='mmdistill',
    locations=['mmdistill.datasets'],
)
KEYPOINT_CODECS = Registry(
    'keypoint codec',
    parent=MMPOSE_KEYPOINT_CODECS,
    scope='mmdistill',
    locations=['mmdistill.datasets'],
)
HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, scope='mmdistill', locations=ENGINE_MODULES
)
LOOPS = Registry(
    'loop', parent=MMENGINE_LOOPS, scope='mmdistill', locations=ENGINE_MODULES
)
METRICS = Registry(
    'metric',
    parent=MMENGINE_METRICS,
    scope='mmdistill',
    locations=['mmdistill.engine.instance_results', 'mmdistill.engine.box_results'],
)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler',
    parent=MMENGINE_PARAM_SCHEDULERS,
    scope='mmdistill',
    locations=['mmdistill.engine.finish_lr'],
)
VISBACKENDS = Registry(
    'visualization backend',
    parent=MMENGINE_VISBACKENDS,
    scope='mmdistill',
    locations=['mmdistill.engine.mlflow_backend'],
)
SOURCES = Registry(
    'source', scope='mmdistill', locations=['mmdistill.datasets.sources']
)
"""Sources of unlabeled images; MMEngine has no such registry."""
