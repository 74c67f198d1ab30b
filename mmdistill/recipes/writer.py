"""The files of a recipe: configs as a person would write them, with their reasons."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdistill.recipes.config_text import WIDTH, Code, Reasoned, Statement, config_text
from mmdistill.recipes.keypoints import Keypoints
from mmdistill.recipes.models import LITE, Model
from mmdistill.recipes.recommend import Recommended, Settings
from mmdistill.recipes.unlabeled_set import UnlabeledSet

LEFT, RIGHT, MIDDLE = [0, 255, 0], [255, 128, 0], [51, 153, 255]
"""Colors of bones, as MMPose has them for people."""
WARM_UP = 50
"""Iterations over which the learning rate rises, of short trainings."""
MILESTONES = (0.7, 0.9)
"""Shares of the schedule at which the learning rate drops, as in the paper."""


@dataclass(frozen=True)
class DataFiles:
    """Files of a set as a config names them.

    Attributes:
        ann_file: The COCO json.
        img: Folder of its images.
    """

    ann_file: str
    img: str


@dataclass(frozen=True)
class Parts:
    """All that the files of a recipe are written of.

    Attributes:
        name: Name of the recipe.
        folder: The folder that it is written to, as it is typed.
        distill_base: The `_base_/distill.py`, as the student names it.
        category: What is annotated.
        instances: Number of labeled instances that train.
        keypoints: The keypoints.
        model: The model.
        settings: The recommended settings.
        machine: The machine, in words.
        train: Files of the training set.
        val: Files of the validation set.
        val_rule: Where the validation set is from.
        truth: Files of the true labels of the unlabeled set; None without.
        unlabeled: The unlabeled set.
        boxes: Entries of `distill` about boxes, and of its `unlabeled`.
        boxes_reason: Where the boxes are from.
        labeled_share: Stated share of labels; None for the default.
    """

    name: str
    folder: str
    distill_base: str
    category: str
    instances: int
    keypoints: Keypoints
    model: Model
    settings: Settings
    machine: str
    train: DataFiles
    val: DataFiles
    val_rule: str
    truth: DataFiles | None
    unlabeled: UnlabeledSet
    boxes: tuple[dict[str, Any], dict[str, Any]]
    boxes_reason: str
    labeled_share: float | None

    @property
    def modules(self) -> list[str]:
        """Modules beside the configs that they import."""
        whole = ['whole_frame'] if self.settings.whole_frame.value else []
        return [*([LITE] if self.model.is_lite else []), *whole]


def dataset_text(parts: Parts) -> str:
    """Write `dataset.py`, the metainfo.

    Args:
        parts: What it is written of.
    """
    keypoints = parts.keypoints
    names, partner = keypoints.names, keypoints.partner
    info = {
        number: dict(
            name=name,
            id=number,
            type='lower' if number in keypoints.lower else 'upper',
            swap=names[partner[number]] if number in partner else '',
        )
        for number, name in enumerate(names)
    }
    left = {a for a, _ in keypoints.pairs}
    right = {b for _, b in keypoints.pairs}
    skeleton = {
        number: dict(
            link=(names[a], names[b]), id=number, color=_color((a, b), left, right)
        )
        for number, (a, b) in enumerate(keypoints.bones)
    }
    weights = 'as in COCO: limbs count more' if set(keypoints.weights) != {1.0} else ''
    value = dict(
        dataset_name=parts.name,
        keypoint_info=Reasoned(
            info, f'Pairs of left and right (swap): {keypoints.pairs_source}.'
        ),
        skeleton_info=Reasoned(skeleton, f'Bones: {keypoints.bones_source}.'),
        joint_weights=Reasoned(
            list(keypoints.weights), f'Weights in the loss{weights and ", " + weights}.'
        ),
        sigmas=Reasoned(
            list(keypoints.sigmas), f'Sigmas of OKS: {keypoints.sigmas_source}.'
        ),
    )
    counted = 'keypoint' if len(names) == 1 else 'keypoints'
    doc = f'{parts.name}: {len(names)} {counted} of a {parts.category}.'
    return config_text(_wrapped(doc), [Statement('dataset_info', value)])


def teacher_text(parts: Parts) -> str:
    """Write `teacher.py`, a plain training on the labels.

    Args:
        parts: What it is written of.
    """
    width, height = parts.settings.codec.value['input_size']
    doc = _docstring(
        f'{parts.name}: the teacher, at {width}x{height} on {parts.instances} labeled '
        'instances.',
        _train(parts, 'teacher'),
        f'Written by tools/new_recipe.py for {parts.machine}. Settings that were '
        'chosen have their reason above them; change what you know better.',
    )
    statements = [
        Statement(
            '_base_',
            [parts.model.base, 'dataset.py'],
            _sentence('Model: ' + parts.model.reason),
        ),
        Statement('work_dir', f'work_dirs/{parts.name}/teacher'),
        *_imports(parts),
        Statement('randomness', dict(seed=0)),
        *_schedule(parts),
        *_model(parts),
        *_pipelines(parts),
        *_data(parts),
    ]
    return config_text(doc, statements)


def baseline_text(parts: Parts) -> str:
    """Write `baseline.py`: the labels alone, as long as the student.

    Args:
        parts: What it is written of.
    """
    doc = _docstring(
        f"{parts.name}: the supervised baseline, the labels at the student's length.",
        _train(parts, 'baseline'),
        "The student trains as long as its teacher, so this is the teacher's own "
        'training; a recipe with a longer student states its length here.',
    )
    return config_text(
        doc,
        [
            Statement('_base_', 'teacher.py'),
            Statement('work_dir', f'work_dirs/{parts.name}/baseline'),
        ],
    )


def student_text(parts: Parts) -> str:
    """Write `student.py`, the distillation.

    Args:
        parts: What it is written of.
    """
    settings, unlabeled = parts.settings, parts.unlabeled
    doc = _docstring(
        f'{parts.name}: the student, {parts.instances} labels and the pseudo-labels '
        f'of {unlabeled.images} images.',
        _train(parts, 'student'),
        'Labels the images first (the teacher must be trained), then trains.',
    )
    iterations = settings.iterations.value
    checkpoint = f'work_dirs/{parts.name}/teacher/iter_{iterations}.pth'
    views: dict[str, Any] = dict(scales=_reasoned(settings.scales))
    if settings.rotations.value:
        views['rotations'] = _reasoned(settings.rotations)
    else:
        views['scales'] = Reasoned(
            settings.scales.value,
            _sentence(
                f'{settings.scales.reason}; none turned: {settings.rotations.reason}'
            ),
        )
    if not settings.flip.value:
        views['flip'] = Reasoned(False, _sentence(settings.flip.reason))
    of_distill, of_unlabeled = parts.boxes
    section = {**unlabeled.section, **of_unlabeled}
    distill: dict[str, Any] = dict(
        teacher=dict(checkpoint=checkpoint),
        views=views,
        unlabeled=Reasoned(section, _unlabeled_reason(parts)),
        **of_distill,
        store=f'work_dirs/{parts.name}/labels',
    )
    if parts.labeled_share is not None:
        distill['mixing'] = Reasoned(
            dict(labeled_share=parts.labeled_share), 'Share of labels: stated.'
        )
    distill['schedule'] = Reasoned(
        dict(max_factor=1.0), 'As long as the baseline, to be compared with it.'
    )
    return config_text(
        doc,
        [
            Statement('_base_', ['baseline.py', parts.distill_base]),
            Statement('work_dir', f'work_dirs/{parts.name}/student'),
            Statement('distill', distill, gap=True),
        ],
    )


def upper_bound_text(parts: Parts) -> str:
    """Write `upper_bound.py`: true labels on all images.

    Args:
        parts: What it is written of, `truth` among it.
    """
    assert parts.truth is not None
    doc = _docstring(
        f"{parts.name}: the upper bound, the baseline's schedule with true labels on "
        'all images.',
        _train(parts, 'upper_bound'),
        'The only config that reads the labels of the unlabeled images.',
    )
    truth = dict(
        type='CocoDataset',
        metainfo=Code('_base_.dataset_info'),
        ann_file=parts.truth.ann_file,
        data_prefix=dict(img=parts.truth.img),
        pipeline=Code('_base_.train_pipeline'),
    )
    dataset = dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[Code('_base_.train_dataloader.dataset'), truth],
    )
    return config_text(
        doc,
        [
            Statement('_base_', 'baseline.py'),
            Statement('work_dir', f'work_dirs/{parts.name}/upper_bound'),
            Statement('train_dataloader', dict(dataset=dataset), gap=True),
        ],
    )


def _imports(parts: Parts) -> list[Statement]:
    if not parts.modules:
        return []
    value = dict(imports=parts.modules, allow_failed_imports=False)
    return [Statement('custom_imports', value)]


def _schedule(parts: Parts) -> list[Statement]:
    settings = parts.settings
    iterations = settings.iterations.value
    warm_up = max(1, min(max(WARM_UP, iterations // 16), 500, iterations // 2))
    milestones = [max(1, round(iterations * share)) for share in MILESTONES]
    hook = dict(
        _delete_=True,
        type='CheckpointHook',
        by_epoch=False,
        interval=max(1, iterations // 4),
        max_keep_ckpts=1,
    )
    rate = settings.lr
    optimizer: dict[str, Any] = dict(optimizer=dict(lr=rate.value))
    if parts.model.is_lite:
        optimizer = dict(
            optimizer=dict(
                _delete_=True, type='AdamW', lr=rate.value, weight_decay=1e-2
            ),
            paramwise_cfg=Reasoned(
                dict(custom_keys=dict(backbone=dict(lr_mult=0.6))),
                'The head starts from nothing, the backbone from ImageNet.',
            ),
        )
    loop = dict(
        _delete_=True,
        by_epoch=False,
        max_iters=Code('num_iters'),
        val_interval=Code('num_iters'),
    )
    others = _hooks(parts.model)
    warm = dict(
        type='LinearLR', begin=0, end=warm_up, start_factor=0.01, by_epoch=False
    )
    steps = dict(type='MultiStepLR', milestones=milestones, gamma=0.1, by_epoch=False)
    return [
        Statement(
            'num_iters', iterations, _sentence(settings.iterations.reason), gap=True
        ),
        Statement('train_cfg', loop),
        Statement('log_processor', dict(by_epoch=False)),
        Statement('default_hooks', dict(checkpoint=hook)),
        *others,
        Statement('optim_wrapper', optimizer, _sentence('Rate: ' + rate.reason)),
        Statement('param_scheduler', [warm, steps]),
    ]


def _hooks(model: Model) -> list[Statement]:
    """Without hooks that count epochs of a long training."""
    hooks = model.config.get('custom_hooks') or []
    if all(hook.type == 'SyncBuffersHook' for hook in hooks):
        return []
    reason = "The base's hooks count epochs, and average over more steps than these."
    return [Statement('custom_hooks', [], reason)]


def _model(parts: Parts) -> list[Statement]:
    codec, number = parts.settings.codec, len(parts.keypoints.names)
    head: dict[str, Any] = dict(out_channels=number, decoder=Code('codec'))
    model: dict[str, Any] = {}
    if parts.model.is_lite:
        model['backbone'] = Reasoned(
            dict(
                _delete_=True,
                type='EfficientNetLite0',
                frozen_stages=3,
                stages=5,
                drop_connect_rate=0.0,
            ),
            'Features at stride 16 are learned faster than those at 32 in short '
            'trainings; edges and textures of ImageNet serve as they are.',
        )
        head = dict(
            in_channels=112,
            out_channels=number,
            deconv_out_channels=(128, 64),
            deconv_kernel_sizes=(4, 4),
            decoder=Code('codec'),
        )
    elif parts.model.weights is not None:
        prefix = parts.model.prefix
        init = dict(type='Pretrained', checkpoint=str(parts.model.weights))
        if prefix:
            init['prefix'] = prefix
        model['backbone'] = dict(init_cfg=dict(_delete_=True, **init))
    model['head'] = head
    tests: dict[str, Any] = {}
    if 'shift_heatmap' in parts.model.config.model.get('test_cfg', {}):
        tests['shift_heatmap'] = codec.value['type'] == 'MSRAHeatmap'
    if not parts.settings.flip.value:
        tests['flip_test'] = False
    if tests:
        model['test_cfg'] = tests
    reason = _sentence('Input: ' + codec.reason)
    return [
        Statement('codec', dict(codec.value), reason, gap=True),
        Statement('model', model),
    ]


def _pipelines(parts: Parts) -> list[Statement]:
    settings = parts.settings
    affine: dict[str, Any] = dict(
        type='TopdownAffine', input_size=Code("codec['input_size']")
    )
    if settings.codec.value['type'] == 'UDPHeatmap':
        affine['use_udp'] = True
    turn, scale = settings.rotate_factor, settings.scale_factor
    box = dict(
        type='RandomBBoxTransform',
        scale_factor=tuple(scale.value),
        rotate_factor=turn.value,
    )
    steps: list[Any] = [dict(type='LoadImage')]
    whole = settings.whole_frame
    if whole.value:
        steps.append(
            Reasoned(
                dict(type='WholeFrameBox', prob=whole.value), _sentence(whole.reason)
            )
        )
    steps.append(dict(type='GetBBoxCenterScale'))
    if settings.flip.value:
        flip = dict(type='RandomFlip', direction='horizontal')
        steps.append(Reasoned(flip, _sentence('Mirrored: ' + settings.flip.reason)))
    if parts.keypoints.has_halves:
        steps.append(dict(type='RandomHalfBody'))
    not_mirrored = (
        '' if settings.flip.value else f'; not mirrored: {settings.flip.reason}'
    )
    steps.append(
        Reasoned(box, _sentence(f'{turn.reason}; {scale.reason}{not_mirrored}'))
    )
    steps.append(affine)
    if settings.color.value:
        color = dict(type='PhotometricDistortion')
        steps.append(Reasoned(color, _sentence(settings.color.reason)))
    steps += [
        dict(type='GenerateTarget', encoder=Code('codec')),
        dict(type='PackPoseInputs'),
    ]
    val = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        affine,
        dict(type='PackPoseInputs'),
    ]
    return [
        Statement('train_pipeline', steps, gap=True),
        Statement('val_pipeline', val),
    ]


def _data(parts: Parts) -> list[Statement]:
    settings = parts.settings
    workers = settings.workers.value
    train = dict(
        batch_size=_reasoned(settings.batch_size),
        num_workers=workers,
        sampler=dict(type='InfiniteSampler'),
        dataset=_dataset(parts.train, 'train_pipeline'),
    )
    val = dict(
        batch_size=32, num_workers=workers, dataset=_dataset(parts.val, 'val_pipeline')
    )
    pck = dict(type='PCKAccuracy', thr=settings.pck.value, norm_item='bbox')
    evaluators = [
        dict(type='CocoMetric', ann_file=parts.val.ann_file),
        Reasoned(pck, _sentence('Share of the box: ' + settings.pck.reason)),
        *([] if parts.keypoints.is_person else [dict(type='EPE')]),
    ]
    return [
        Statement('train_dataloader', train, gap=True),
        Statement('val_dataloader', val, _sentence('Validation: ' + parts.val_rule)),
        Statement('test_dataloader', Code('val_dataloader')),
        Statement('val_evaluator', evaluators),
        Statement('test_evaluator', Code('val_evaluator')),
    ]


def _dataset(files: DataFiles, pipeline: str) -> dict[str, Any]:
    return dict(
        _delete_=True,
        type='CocoDataset',
        data_mode='topdown',
        metainfo=Code('_base_.dataset_info'),
        ann_file=files.ann_file,
        data_prefix=dict(img=files.img),
        pipeline=Code(pipeline),
    )


def _unlabeled_reason(parts: Parts) -> str:
    every = parts.unlabeled.every
    frames = f'Frames: {parts.unlabeled.every_reason}. ' if every else ''
    return f'{frames}Boxes: {parts.boxes_reason}.'


def _color(bone: tuple[int, int], left: set[int], right: set[int]) -> list[int]:
    for side, color in ((left, LEFT), (right, RIGHT)):
        others = right if side is left else left
        if side & set(bone) and not others & set(bone):
            return color
    return MIDDLE


def _reasoned(recommended: Recommended[Any]) -> Reasoned:
    return Reasoned(recommended.value, _sentence(recommended.reason))


def _sentence(text: str) -> str:
    return f'{text[:1].upper()}{text[1:]}.'


def _train(parts: Parts, file: str) -> str:
    return f'python tools/train.py {parts.folder}/{file}.py'


def _docstring(first: str, command: str, rest: str) -> str:
    """The first line, the command and a paragraph."""
    return f'{_wrapped(first)}\n\n    {command}\n\n{_wrapped(rest)}'


def _wrapped(text: str) -> str:
    # The quotes stand before the first line.
    return textwrap.fill(
        text.replace('\\', '/').replace('"', "'"),
        WIDTH,
        initial_indent='   ',
        break_long_words=False,
        break_on_hyphens=False,
    )[3:]


def files_of(parts: Parts, modules: Mapping[str, Path]) -> dict[str, str]:
    """Write all files of a recipe.

    Args:
        parts: What they are written of.
        modules: Files of the modules that are copied, by their name.

    Returns:
        Texts by file name.
    """
    files = {
        'dataset.py': dataset_text(parts),
        'teacher.py': teacher_text(parts),
        'baseline.py': baseline_text(parts),
        'student.py': student_text(parts),
    }
    if parts.truth is not None:
        files['upper_bound.py'] = upper_bound_text(parts)
    for name in parts.modules:
        files[f'{name}.py'] = modules[name].read_text(encoding='utf-8')
    return files
