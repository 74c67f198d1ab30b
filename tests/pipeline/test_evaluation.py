"""All models read one set, each by its own pipeline."""

from mmengine.config import Config

from mmdistill.pipeline.evaluation import evaluation_config, has_validation
from tests.helpers.recipes import STUDENT, TEACHER


def test_the_set_is_the_recipes_and_the_pipeline_the_models():
    recipe, model = Config.fromfile(STUDENT), Config.fromfile(TEACHER)
    recipe.val_dataloader.dataset.bbox_file = 'detections.json'
    own = [dict(type='LoadImage'), dict(type='PackPoseInputs')]
    model.val_dataloader.dataset = dict(type='CocoDataset', pipeline=own)

    made = evaluation_config(model, recipe)

    tested = made.test_dataloader.dataset
    assert tested.ann_file == recipe.val_dataloader.dataset.ann_file
    assert tested.data_root == recipe.val_dataloader.dataset.data_root
    assert tested.bbox_file is None
    assert [step['type'] for step in tested.pipeline] == ['LoadImage', 'PackPoseInputs']
    assert made.test_evaluator == recipe.val_evaluator
    assert made.model == model.model
    # The recipe is as it was.
    assert recipe.val_dataloader.dataset.bbox_file == 'detections.json'


def test_members_of_a_mixed_set_are_all_read_in_true_boxes():
    recipe = Config.fromfile(STUDENT)
    member = recipe.val_dataloader.dataset.to_dict()
    pipeline = member.pop('pipeline')
    member['bbox_file'] = 'detections.json'
    recipe.val_dataloader.dataset = dict(
        type='CombinedDataset', datasets=[member, dict(member)], pipeline=pipeline
    )
    tested = evaluation_config(recipe, recipe).test_dataloader.dataset
    assert [each.bbox_file for each in tested.datasets] == [None, None]
    assert len(tested.pipeline) == len(pipeline)
    assert 'distill' not in evaluation_config(recipe, recipe)


def test_a_set_without_metrics_is_none():
    config = Config.fromfile(STUDENT)
    assert has_validation(config)
    config.val_evaluator = None
    assert not has_validation(config)
