"""Tests of the config of stage 2."""

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.train_config import student_config

PIPELINE = [dict(type='LoadImage')]
COCO = dict(from_file='configs/_base_/datasets/coco.py')


def config_of(dataset, **settings):
    return Config(
        dict(
            default_scope='mmpose',
            train_dataloader=dict(
                batch_size=10,
                num_workers=2,
                persistent_workers=True,
                dataset=dataset,
            ),
            distill=dict(
                teacher=dict(checkpoint='teacher.pth'),
                unlabeled=dict(data_root='pile'),
                store='labels',
            ),
            **settings,
        )
    )


def labeled(**settings):
    return dict(
        type='CocoDataset', ann_file='train.json', pipeline=PIPELINE, **settings
    )


@pytest.fixture
def plain():
    """A config that trains on a labeled set alone."""
    return config_of(labeled(metainfo=COCO))


@pytest.fixture
def mixed():
    """A config that states its mix."""
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    return config_of(dict(type='ConcatDataset', datasets=[pseudo, labeled()]))


class TestLabeledSetAlone:
    def test_pseudo_labels_stand_behind_it(self, plain):
        first, second = student_config(
            Recipe.of(plain)
        ).train_dataloader.dataset.datasets

        assert first == plain.train_dataloader.dataset
        assert (second.type, second.store) == (
            'mmdistill.PseudoLabelDataset',
            'labels',
        )

    def test_they_have_its_pipeline_and_keypoints(self, plain):
        pseudo = student_config(Recipe.of(plain)).train_dataloader.dataset.datasets[1]

        assert (pseudo.pipeline, pseudo.metainfo) == (PIPELINE, COCO)

    def test_keypoints_of_the_class_are_taken_without_metainfo(self):
        pseudo = student_config(
            Recipe.of(config_of(labeled()))
        ).train_dataloader.dataset

        assert pseudo.datasets[1].metainfo == COCO

    @pytest.mark.parametrize(
        ('mixing', 'share'), [({}, None), (dict(labeled_share=0.3), 0.3)]
    )
    def test_batches_have_the_share_of_the_section(self, plain, mixing, share):
        plain.distill.mixing = mixing

        sampler = student_config(Recipe.of(plain)).train_dataloader.batch_sampler

        assert sampler.type == 'mmdistill.MixedRatioBatchSampler'
        assert sampler.get('labeled_share') == share

    def test_the_rest_of_mixing_is_for_the_pseudo_labels(self, plain):
        given = dict(pseudo_weight=0.5, score_thr=0.0, keypoint_thr=0.3)
        plain.distill.mixing = dict(labeled_share=0.3, **given)

        pseudo = student_config(Recipe.of(plain)).train_dataloader.dataset.datasets[1]

        assert {key: pseudo[key] for key in given} == given

    def test_a_batch_without_room_is_refused_before_the_labels_are_made(self, plain):
        plain.train_dataloader.batch_size = 1

        with pytest.raises(UserError, match='batch size of at least 2, got 1'):
            student_config(Recipe.of(plain))

    def test_the_selection_is_checked_once(self, plain):
        plain.custom_hooks = [dict(type='mmdistill.LabelMixHook', priority=60)]

        hooks = student_config(Recipe.of(plain)).custom_hooks

        assert hooks == plain.custom_hooks

    def test_the_selection_is_checked_unasked(self, plain):
        plain.custom_hooks = [dict(type='SyncBuffersHook')]

        hooks = [hook.type for hook in student_config(Recipe.of(plain)).custom_hooks]

        assert hooks == ['SyncBuffersHook', 'mmdistill.LabelMixHook']

    def test_the_hook_of_labeling_is_refused_before_the_labels_are_made(self, plain):
        plain.custom_hooks = [dict(type='mmdistill.CountMatchingHook')]

        with pytest.raises(UserError, match=r'mmdistill\.LabelMixHook.*, got Count'):
            student_config(Recipe.of(plain))

    def test_a_pipeline_that_switches_does_so_in_both_sources(self, plain):
        switch = dict(switch_epoch=3, switch_pipeline=PIPELINE)
        plain.custom_hooks = [dict(type='mmdet.PipelineSwitchHook', **switch)]

        config = student_config(Recipe.of(plain))

        assert config.custom_hooks[0] == dict(
            type='mmdistill.SourcePipelineSwitchHook', **switch
        )
        assert config.train_dataloader.persistent_workers is False

    def test_the_config_given_stays(self, plain):
        before = plain.pretty_text

        student_config(Recipe.of(plain))

        assert plain.pretty_text == before

    def test_the_config_can_be_written_and_read(self, plain, tmp_path):
        config = student_config(Recipe.of(plain))
        config.dump(tmp_path / 'student.py')

        read = Config.fromfile(tmp_path / 'student.py')

        assert read.train_dataloader == config.train_dataloader

    @pytest.mark.parametrize(
        'dataset',
        [
            dict(type='RepeatDataset', times=2, dataset=labeled()),
            dict(type='ConcatDataset', datasets=[labeled(), labeled()]),
            dict(
                type='CombinedDataset',
                metainfo=COCO,
                datasets=[labeled()],
                pipeline=PIPELINE,
            ),
        ],
    )
    def test_a_set_made_of_several_stays_whole(self, dataset):
        config = config_of(dataset)

        first, second = student_config(
            Recipe.of(config)
        ).train_dataloader.dataset.datasets

        assert first == config.train_dataloader.dataset
        assert (second.pipeline, second.metainfo) == (PIPELINE, COCO)


class TestStatedMix:
    def test_it_is_found_in_a_wrapper(self, mixed):
        inner = mixed.train_dataloader.dataset
        mixed.train_dataloader.dataset = dict(type='SeededDataset', dataset=inner)
        assert (
            student_config(Recipe.of(mixed)).train_dataloader == mixed.train_dataloader
        )

    def test_it_stays(self, mixed):
        assert (
            student_config(Recipe.of(mixed)).train_dataloader == mixed.train_dataloader
        )

    @pytest.mark.parametrize('key', ['labeled_share', 'pseudo_weight'])
    def test_its_pseudo_labels_are_not_stated_twice(self, mixed, key):
        mixed.distill.mixing = {key: 0.5}

        with pytest.raises(UserError, match=rf'mixing\.{key} .* got 0\.5'):
            student_config(Recipe.of(mixed))

    def test_another_store_is_refused(self, mixed):
        mixed.distill.store = 'elsewhere'

        with pytest.raises(UserError, match=r"elsewhere .* read \['labels'\]"):
            student_config(Recipe.of(mixed))


WEIGHTS = dict(criterion='both', power=2.0, floor=0.1, normalize=False, sigma=1.0)
REGRESSION = dict(head=dict(type='RegressionHead'))


class TestWeights:
    def test_they_reach_the_pseudo_labels_with_the_power_of_the_loss(self, plain):
        plain.model = REGRESSION
        plain.distill.weights = WEIGHTS
        made = student_config(Recipe.of(plain)).train_dataloader.dataset.datasets
        assert made[1].weights == WEIGHTS
        assert made[1].loss_power == 2
        assert 'weights' not in made[0]

    def test_a_stated_mix_takes_them_too(self, mixed):
        mixed.distill.weights = WEIGHTS
        made = student_config(Recipe.of(mixed)).train_dataloader.dataset.datasets
        assert made[0].weights == WEIGHTS
        assert 'weights' not in made[1]

    def test_what_a_source_states_itself_stays(self, mixed):
        mixed.distill.weights = WEIGHTS
        mixed.train_dataloader.dataset.datasets[0].weights = dict(power=3.0)
        made = student_config(Recipe.of(mixed)).train_dataloader.dataset.datasets
        assert made[0].weights == dict(power=3.0)

    def test_none_change_nothing(self, plain):
        before = student_config(Recipe.of(plain)).train_dataloader
        plain.distill.weights = None
        assert student_config(Recipe.of(plain)).train_dataloader == before
        assert 'weights' not in before.dataset.datasets[1]
        assert 'loss_power' not in before.dataset.datasets[1]

    @pytest.mark.parametrize(
        ('head', 'sentence'),
        [
            (dict(type='VisPredictHead'), 'VisPredictHead learns'),
            (dict(type='DSNTHead'), 'some square the keypoint weights'),
        ],
    )
    def test_a_model_without_is_refused_before_labeling(self, plain, head, sentence):
        plain.model = dict(head=head)
        plain.distill.weights = WEIGHTS
        with pytest.raises(UserError, match=sentence):
            student_config(Recipe.of(plain))

    def test_a_sigma_is_refused_before_labeling(self, plain):
        codec = dict(type='RegressionLabel', input_size=(32, 32))
        plain.train_dataloader.dataset.pipeline = [
            dict(type='GenerateTarget', encoder=codec)
        ]
        plain.distill.weights = dict(sigma=2.0)
        with pytest.raises(UserError, match='targets of RegressionLabel have no sigma'):
            student_config(Recipe.of(plain))
