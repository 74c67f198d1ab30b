"""The text of a plain training: its schedule, model, pipelines and data."""

from __future__ import annotations

from typing import Any

from mmdistill.recipes.config_text import Code, Reasoned, Statement, config_text
from mmdistill.recipes.models import Model
from mmdistill.recipes.parts import (
    DataFiles,
    Network,
    Parts,
    docstring,
    reasoned,
    sentence,
    training_command,
)

WARM_UP = 50
"""Iterations over which the learning rate rises, of short trainings."""
LITE_CHANNELS = {0: 112, 2: 120}
"""Channels of EfficientNet-Lite's fifth stage, by variant."""
MILESTONES = (0.7, 0.9)
"""Shares of the schedule at which the learning rate drops, as in the paper."""


def training_text(parts: Parts, file: str, title: str, network: Network) -> str:
    """Write a plain training on the labels.

    Args:
        parts: What it is written of.
        file: Name of the config, without its ending.
        title: What is trained.
        network: Its model.
    """
    width, height = network.codec.value['input_size']
    doc = docstring(
        f'{parts.name}: {title}, at {width}x{height} on {parts.instances} labeled '
        'instances.',
        training_command(parts, file),
        f'Written by tools/new_recipe.py for {parts.machine}. Settings that were '
        'chosen have their reason above them; change what you know better.',
    )
    statements = [
        Statement(
            '_base_',
            [parts.base_of(network.model), 'dataset.py'],
            sentence('Model: ' + network.model.reason),
        ),
        Statement('work_dir', f'{parts.work_dir}/{file}'),
        *_imports(parts),
        Statement('randomness', dict(seed=parts.seed)),
        *_schedule(parts, network),
        *_model(parts, network),
        *_pipelines(parts, network),
        *_data(parts),
    ]
    return config_text(doc, statements)


def _imports(parts: Parts) -> list[Statement]:
    if not parts.modules:
        return []
    value = dict(imports=parts.modules, allow_failed_imports=False)
    return [Statement('custom_imports', value)]


def _schedule(parts: Parts, network: Network) -> list[Statement]:
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
    rate = network.lr
    optimizer: dict[str, Any] = dict(optimizer=dict(lr=rate.value))
    if network.model.lite is not None:
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
    others = _hooks(network.model)
    warm = dict(
        type='LinearLR', begin=0, end=warm_up, start_factor=0.01, by_epoch=False
    )
    steps = dict(type='MultiStepLR', milestones=milestones, gamma=0.1, by_epoch=False)
    return [
        Statement(
            'num_iters', iterations, sentence(settings.iterations.reason), gap=True
        ),
        Statement('train_cfg', loop),
        Statement('log_processor', dict(by_epoch=False)),
        Statement('default_hooks', dict(checkpoint=hook)),
        *others,
        Statement('optim_wrapper', optimizer, sentence('Rate: ' + rate.reason)),
        Statement('param_scheduler', [warm, steps]),
    ]


def _hooks(model: Model) -> list[Statement]:
    """Without hooks that count epochs of a long training."""
    hooks = model.config.get('custom_hooks') or []
    if all(hook.type == 'SyncBuffersHook' for hook in hooks):
        return []
    reason = "The base's hooks count epochs, and average over more steps than these."
    return [Statement('custom_hooks', [], reason)]


def _model(parts: Parts, network: Network) -> list[Statement]:
    own, codec = network.model, network.codec
    number = len(parts.keypoints.names)
    head = {own.number_key: number, 'decoder': Code('codec')}
    model: dict[str, Any] = {}
    if own.lite is not None:
        model['backbone'] = Reasoned(
            dict(
                _delete_=True,
                type='EfficientNetLite',
                variant=own.lite,
                frozen_stages=3,
                stages=5,
                drop_connect_rate=0.0,
            ),
            'Features at stride 16 are learned faster than those at 32 in short '
            'trainings; edges and textures of ImageNet serve as they are.',
        )
        head = dict(
            in_channels=LITE_CHANNELS[own.lite],
            out_channels=number,
            deconv_out_channels=(128, 64),
            deconv_kernel_sizes=(4, 4),
            decoder=Code('codec'),
        )
    elif own.weights is not None:
        prefix = own.prefix
        init = dict(type='Pretrained', checkpoint=str(own.weights))
        if prefix:
            init['prefix'] = prefix
        # MMEngine leaves the mark where there is nothing to delete.
        replaced = isinstance(own.config.model.backbone.get('init_cfg'), dict)
        mark = dict(_delete_=True) if replaced else {}
        model['backbone'] = dict(init_cfg={**mark, **init})
    model['head'] = head
    tests: dict[str, Any] = {}
    if 'shift_heatmap' in own.config.model.get('test_cfg', {}):
        tests['shift_heatmap'] = codec.value['type'] == 'MSRAHeatmap'
    if not parts.settings.flip.value:
        tests['flip_test'] = False
    if tests:
        model['test_cfg'] = tests
    reason = sentence('Input: ' + codec.reason)
    return [
        Statement('codec', dict(codec.value), reason, gap=True),
        Statement('model', model),
    ]


def _pipelines(parts: Parts, network: Network) -> list[Statement]:
    settings = parts.settings
    affine: dict[str, Any] = dict(
        type='TopdownAffine', input_size=Code("codec['input_size']")
    )
    if network.codec.value['type'] == 'UDPHeatmap':
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
                dict(type='WholeFrameBox', prob=whole.value), sentence(whole.reason)
            )
        )
    steps.append(dict(type='GetBBoxCenterScale'))
    if settings.flip.value:
        flip = dict(type='RandomFlip', direction='horizontal')
        steps.append(Reasoned(flip, sentence('Mirrored: ' + settings.flip.reason)))
    if parts.keypoints.has_halves:
        steps.append(dict(type='RandomHalfBody'))
    not_mirrored = (
        '' if settings.flip.value else f'; not mirrored: {settings.flip.reason}'
    )
    steps.append(
        Reasoned(box, sentence(f'{turn.reason}; {scale.reason}{not_mirrored}'))
    )
    steps.append(affine)
    if settings.color.value:
        color = dict(type='PhotometricDistortion')
        steps.append(Reasoned(color, sentence(settings.color.reason)))
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
        batch_size=reasoned(settings.batch_size),
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
        Reasoned(pck, sentence('Share of the box: ' + settings.pck.reason)),
        *([] if parts.keypoints.is_person else [dict(type='EPE')]),
    ]
    return [
        Statement('train_dataloader', train, gap=True),
        Statement('val_dataloader', val, sentence('Validation: ' + parts.val_rule)),
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
