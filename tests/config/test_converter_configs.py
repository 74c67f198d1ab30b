"""Pipelines with keypoint converters are made fit for whole-body samples."""

import copy

from mmengine.config import Config

from mmdistill.config.datasets import fit_converters

CONVERTER = dict(type='KeypointConverter', num_keypoints=2, mapping=[(0, 0)])
HANDS = dict(type='mmpose.SingleHandConverter', num_keypoints=2)
DROP = dict(type='mmdistill.DropNoneValues', keys=['keypoints_3d'])
LOAD = dict(type='LoadImage')


def loader(pipeline):
    member = dict(type='CocoWholeBodyDataset', pipeline=pipeline)
    repeated = dict(type='RepeatDataset', dataset=member, times=2)
    return dict(dataset=dict(type='CombinedDataset', datasets=[repeated]))


def pipeline_of(config, name):
    return [dict(s) for s in config[name].dataset.datasets[0].dataset.pipeline]


def test_every_converter_of_every_loader_gets_the_transform_before_it():
    config = Config(
        dict(
            train_dataloader=loader([LOAD, CONVERTER, HANDS]),
            val_dataloader=loader([CONVERTER]),
            test_dataloader=None,
        )
    )
    before = copy.deepcopy(config)

    fitted = fit_converters(config)

    assert pipeline_of(fitted, 'train_dataloader') == [
        *(LOAD, DROP, CONVERTER),
        *(DROP, HANDS),
    ]
    assert pipeline_of(fitted, 'val_dataloader') == [DROP, CONVERTER]
    assert config.to_dict() == before.to_dict()


def test_what_is_fit_stays():
    fitted = fit_converters(Config(dict(train_dataloader=loader([CONVERTER]))))

    again = fit_converters(fitted)

    assert again.to_dict() == fitted.to_dict()


def test_a_config_without_converters_is_the_same():
    config = Config(dict(train_dataloader=loader([LOAD]), val_dataloader=None))

    assert fit_converters(config) is config
