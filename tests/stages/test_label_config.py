import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.label_config import label_config, own_teacher_config, tta_config

COCO = dict(from_file='configs/_base_/datasets/coco.py')


@pytest.fixture
def config(tmp_path) -> Config:
    """A config of both stages, as far as `label_config` looks at it."""
    checkpoint = tmp_path / 'teacher.pth'
    checkpoint.write_bytes(b'')
    labeled = dict(type='CocoDataset', ann_file='train.json', pipeline=[dict(type='X')])
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=1.5),
        dict(type='TopdownAffine', input_size=(64, 64), use_udp=True),
        dict(type='PackPoseInputs', meta_keys=('id', 'flip_indices')),
    ]
    return Config(
        dict(
            default_scope='mmpose',
            work_dir='work',
            model=dict(type='TopdownPoseEstimator'),
            train_dataloader=dict(
                dataset=dict(type='ConcatDataset', datasets=[pseudo, labeled])
            ),
            test_dataloader=dict(
                dataset=dict(type='CocoDataset', pipeline=pipeline, metainfo=COCO)
            ),
            distill=dict(
                teacher=dict(checkpoint=str(checkpoint)),
                unlabeled=dict(data_root='pile'),
                store='labels',
                views=dict(scales=(1.0, 2.0), fusion='max'),
            ),
        )
    )


class TestLabelConfig:
    def test_the_teacher_is_wrapped_with_the_views(self, config):
        model = label_config(Recipe.of(config)).model

        assert model.type == 'mmdistill.HeatmapFusionTTA'
        assert model.module == config.model
        assert list(model.scales) == [1.0, 2.0]
        assert model.fusion == 'max'

    def test_resolutions_are_those_of_the_views(self, config):
        config.distill.views.update(resolutions=[0.75, 1.0], fusion_resolution=1.0)
        for model in (label_config(Recipe.of(config)).model, tta_config(config).model):
            assert list(model.resolutions) == [0.75, 1.0]
            assert model.fusion_resolution == 1.0

    def test_crops_are_cut_as_in_the_test_pipeline(self, config):
        model = label_config(Recipe.of(config)).model

        assert (model.padding, model.use_udp) == (1.5, True)

    def test_sigmas_are_those_of_the_labeled_set(self, config):
        model = label_config(Recipe.of(config)).model

        assert model.sigmas[0] == pytest.approx(0.026)
        assert len(model.sigmas) == 17

    def test_the_labeled_set_is_found_beside_the_pseudo_labels(self, config):
        hook = label_config(Recipe.of(config)).custom_hooks[1]

        assert hook.labeled.ann_file == 'train.json'
        assert hook.labeled.pipeline == []

    def test_a_labeled_set_can_be_named(self, config):
        config.distill.labeled = dict(type='CocoDataset', ann_file='other.json')

        hook = label_config(Recipe.of(config)).custom_hooks[1]

        assert hook.labeled.ann_file == 'other.json'

    def test_another_teacher_has_its_own_config(self, config, tmp_path):
        path = tmp_path / 'teacher.py'
        path.write_text(
            "model = dict(type='Other')\n"
            'test_dataloader = dict(dataset=dict(pipeline=['
            "dict(type='GetBBoxCenterScale', padding=2.0)]))\n"
        )
        config.distill.teacher.config = str(path)

        model = label_config(Recipe.of(config)).model

        assert (model.module.type, model.padding) == ('Other', 2.0)

    def test_the_config_can_be_written_and_read(self, config, tmp_path):
        stage = label_config(Recipe.of(config))
        stage.dump(tmp_path / 'stage.py')

        read = Config.fromfile(tmp_path / 'stage.py')

        assert read.test_cfg == stage.test_cfg
        assert read.model.sigmas == stage.model.sigmas

    def test_the_labeled_set_gives_the_margins_of_boxes(self, config):
        hook = label_config(Recipe.of(config)).custom_hooks[2]

        assert hook.type == 'mmdistill.BoxFitHook'
        assert hook.labeled.ann_file == 'train.json'

    @pytest.mark.parametrize(
        ('settings', 'refit'),
        [
            (dict(), True),
            (dict(unlabeled=dict(bbox_file='boxes.json')), False),
            (dict(unlabeled=dict(detections='boxes')), False),
            (dict(unlabeled=dict(follow=dict())), False),
            (dict(detector=dict(config='d.py', checkpoint='d.pth')), False),
            (dict(unlabeled=dict(bbox_file=None, follow=None)), True),
        ],
    )
    @pytest.mark.parametrize('stated', [None, True, False])
    def test_boxes_are_fitted_by_default_where_an_image_is_one(
        self, config, settings, refit, stated
    ):
        for key, value in settings.items():
            config.distill[key] = {**config.distill.get(key, {}), **value}
        config.distill.labeling = dict(refit_boxes=stated)

        stage = label_config(Recipe.of(config))

        hook = stage.custom_hooks[2]
        assert hook.refit is (refit if stated is None else stated)
        assert hook.stated is (stated is not None)
        assert 'refit_boxes' not in stage.test_cfg

    def test_only_pseudo_labels_are_no_labeled_set(self, config):
        del config.train_dataloader.dataset.datasets[1]

        with pytest.raises(UserError, match='trains on no labeled data set'):
            label_config(Recipe.of(config))


class TestTtaConfig:
    def test_model_and_pipeline_change(self, config):
        wrapped = tta_config(config)

        assert wrapped.model.type == 'mmdistill.HeatmapFusionTTA'
        assert wrapped.train_dataloader == config.train_dataloader

    def test_a_checkpoint_that_does_not_fit_is_refused(self, config):
        hooks = [hook.type for hook in tta_config(config).custom_hooks]
        assert hooks == [
            *(hook.type for hook in config.get('custom_hooks', [])),
            'mmdistill.TeacherGuardHook',
            'mmdistill.FiniteGuardHook',
        ]

    def test_the_pipeline_stays_but_for_the_crops(self, config):
        load, pad, _, pack = config.test_dataloader.dataset.pipeline
        wrapped = tta_config(config)
        assert wrapped.test_dataloader.dataset.pipeline == [load, pad, pack]

    def test_the_config_given_stays(self, config):
        before = config.pretty_text

        tta_config(config)

        assert config.pretty_text == before


def test_a_teacher_is_tested_by_its_own_config(tmp_path):
    """Whose model and pipeline it has; views and folders are the recipe's."""
    own = tmp_path / 'own.py'
    own.write_text(
        "model = dict(type='Larger')\ntest_dataloader = dict(batch_size=3)\n"
    )
    section = dict(
        teacher=dict(config=str(own), checkpoint=str(tmp_path / 'large.pth')),
        views=dict(scales=[1.0, 1.2]),
    )
    recipe = Config(dict(model=dict(type='Small'), distill=section, work_dir='here'))
    for checkpoint in ('large.pth', 'other/../large.pth'):
        tested = own_teacher_config(recipe, [str(tmp_path / checkpoint)])
        assert tested.model.type == 'Larger'
        assert tested.test_dataloader.batch_size == 3
        assert tested.distill.views.scales == [1.0, 1.2]
        assert tested.work_dir == 'here'
    assert own_teacher_config(recipe, [str(tmp_path / 'small.pth')]) is recipe
    plain = Config(dict(model=dict(type='Small')))
    assert own_teacher_config(plain, [str(tmp_path / 'large.pth')]) is plain
