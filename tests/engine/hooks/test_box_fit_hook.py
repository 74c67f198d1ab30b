"""Boxes compared with the labeled ones and fitted, by the real loop and store."""

from __future__ import annotations

import json
import logging
import time
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.structures import InstanceData

from mmdistill.engine.hooks.box_fit_hook import BoxFitHook
from mmdistill.engine.loops.label_loop import LabelLoop
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from tests.helpers.labeled_boxes import labeled_set, spread
from tests.helpers.labeling import NUM_IMAGES, Teacher
from tests.helpers.metainfo import COCO
from tests.helpers.noise_images import HEIGHT, WIDTH


class Finder(Teacher):
    """Finds a pose that fills a share of its box, and fits boxes if it is told to.

    Args:
        shares: Width and height of a pose, as shares of the box.
        score: Score of every keypoint.
    """

    def __init__(self, shares=(0.4, 0.3), score=0.9, **options) -> None:
        super().__init__(**options)
        self.shares = np.array(shares)
        self.score = score
        self.box_fit = None

    def provenance(self) -> dict:
        fit = {} if self.box_fit is None else dict(box_fit=self.box_fit.as_json())
        return dict(views=['1'], **fit)

    def test_step(self, batch: dict) -> list:
        self.batches.append(len(batch['data_samples']))
        for sample in batch['data_samples']:
            boxes = sample.gt_instances.bboxes
            keypoints = spread(boxes, self.shares)
            scores = np.full(keypoints.shape[:2], self.score, dtype=np.float32)
            if self.box_fit is not None:
                sizes = np.tile([[WIDTH, HEIGHT]], (len(boxes), 1))
                boxes = self.box_fit.boxes(keypoints, scores, boxes, sizes)
            sample.pred_instances = InstanceData(
                keypoints=keypoints,
                keypoint_scores=scores,
                keypoint_agreement=scores,
                bboxes=boxes,
                bbox_scores=sample.gt_instances.bbox_scores,
            )
        return batch['data_samples']


class SlowFinder(Finder):
    """Takes longer for a batch than a chunk takes to be written."""

    def test_step(self, batch: dict) -> list:
        time.sleep(0.5)
        return super().test_step(batch)


OPENINGS = ('in the labeled set a pose fills', 'boxes are not compared')


@pytest.fixture
def label(tmp_path, write_images, logged_levels):
    """Label seven whole images with the hook; returns teacher, store and sentences."""
    write_images(tmp_path / 'pile', *(f'{i}.png' for i in range(NUM_IMAGES)))
    labeled = labeled_set(tmp_path / 'labeled.json')

    def run(teacher=None, name='labels', labeled=labeled, stop_after=None, **options):
        teacher = teacher or Finder()
        hook = BoxFitHook(labeled, **options)
        calls = []

        def call_hook(event, **arguments):
            calls.append(event)
            if hasattr(hook, event):
                getattr(hook, event)(runner, **arguments)
            if calls.count('after_test_iter') == stop_after:
                raise KeyboardInterrupt

        runner = SimpleNamespace(
            model=teacher,
            cfg=dict(load_from='teacher.pth'),
            visualizer=SimpleNamespace(),
            call_hook=call_hook,
        )
        dataset = dict(
            type='mmdistill.UnlabeledDataset',
            metainfo=COCO,
            data_root=str(tmp_path / 'pile'),
        )
        loader = dict(batch_size=2, num_workers=0, dataset=dataset)
        runner.test_loop = LabelLoop(
            runner, loader, store=str(tmp_path / name), chunk_size=5
        )
        logged_levels.clear()
        try:
            runner.test_loop.run()
        except KeyboardInterrupt:
            assert stop_after is not None
        # The loop has lines of its own.
        said = [line for line in logged_levels if line[1].startswith(OPENINGS)]
        return teacher, LabelStore(tmp_path / name), said

    return run


class TestComparison:
    def test_boxes_unlike_the_labeled_ones_are_a_warning_in_one_sentence(self, label):
        _, _, said = label()

        ((level, sentence),) = said
        assert level == logging.WARNING
        assert '\n' not in sentence
        assert sentence.startswith(
            'in the labeled set a pose fills 90 % x 80 % of its box, in the unlabeled '
            'images 40 % x 30 % (width x height, medians of 5 and 5 poses): '
        )
        assert 'distill.labeling.refit_boxes=True' in sentence
        assert 'distill.unlabeled.bbox_file' in sentence

    def test_boxes_like_the_labeled_ones_are_no_warning(self, label):
        _, _, ((level, sentence),) = label(Finder(shares=(0.85, 0.85)))

        assert level == logging.INFO
        assert sentence == (
            'in the labeled set a pose fills 90 % x 80 % of its box, in the unlabeled '
            'images 85 % x 85 % (width x height, medians of 5 and 5 poses)'
        )

    def test_it_is_said_as_soon_as_the_first_chunk_is_there(self, label):
        # Three batches fill the first chunk, which is written beside the loop; the
        # next one finds it, given the time.
        _, store, said = label(SlowFinder(), stop_after=4)
        assert store.missing_chunks() == [1]
        assert len(said) == 1

    def test_a_run_that_goes_on_says_the_same(self, label):
        _, _, once = label(name='once')
        label(stop_after=3)

        _, store, again = label()

        assert store.complete
        assert again == once

    def test_a_complete_store_says_the_same(self, label):
        _, _, once = label()
        assert label()[2] == once

    def test_few_sure_poses_are_not_compared(self, label):
        _, _, ((level, sentence),) = label(Finder(score=0.1))

        assert level == logging.INFO
        assert sentence.startswith('boxes are not compared')

    def test_fitted_boxes_are_like_the_labeled_ones(self, label):
        _, _, said = label(refit=True)

        assert [level for level, _ in said] == [logging.INFO]
        assert 'in the unlabeled images 90 % x 78 %' in said[0][1]


class TestFit:
    def test_margins_are_those_of_the_labeled_set(self, label):
        teacher, store, _ = label(refit=True)

        # A box of 40 x 30 pixels, a pose of 36 x 24, in its middle.
        diagonal = (36**2 + 24**2) ** 0.5
        side, end = round(2 / diagonal, 3), round(3 / diagonal, 3)
        assert teacher.box_fit.margins == (side, end, side, end)
        assert teacher.box_fit.least == 9
        assert store.manifest['views']['box_fit'] == teacher.box_fit.as_json()
        boxes = store.read().candidates.bboxes
        assert (boxes[:, 2:] - boxes[:, :2] < [WIDTH, HEIGHT]).all()

    def test_a_store_without_it_has_no_entry(self, label):
        teacher, store, _ = label()

        assert teacher.box_fit is None
        assert store.manifest['views'] == dict(views=['1'])

    @pytest.mark.parametrize(('first', 'then'), [(True, False), (False, True)])
    def test_stores_with_and_without_do_not_mix(self, label, first, then):
        label(refit=first)

        with pytest.raises(UserError, match='was made otherwise'):
            label(refit=then)

    def test_a_store_keeps_its_margins_when_the_labeled_set_changes(
        self, label, tmp_path
    ):
        before, _, _ = label(refit=True, stop_after=3)
        other = labeled_set(tmp_path / 'other.json', shares=(0.6, 0.6))

        after, store, _ = label(refit=True, labeled=other)

        assert store.complete
        assert after.box_fit == before.box_fit

    @pytest.mark.parametrize('before', [True, False])
    def test_without_a_word_a_store_goes_on_as_it_was_begun(self, label, before):
        label(refit=before, stop_after=3)

        teacher, store, _ = label(refit=not before, stated=False)

        assert store.complete
        assert (teacher.box_fit is not None) is before

    def test_labeled_boxes_that_do_not_follow_their_poses_have_no_margins(
        self, label, tmp_path
    ):
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, (WIDTH - 12, HEIGHT - 12), (20, 2))
        poses = np.concatenate([corners, corners + 12], axis=1)
        labeled = labeled_set(tmp_path / 'whole.json', (1, 1), poses)
        content = json.loads((tmp_path / 'whole.json').read_text())
        for annotation in content['annotations']:
            annotation['bbox'] = [0, 0, WIDTH, HEIGHT]
        (tmp_path / 'whole.json').write_text(json.dumps(content))

        by_default, _, _ = label(name='a', labeled=labeled, refit=True, stated=False)
        stated, _, _ = label(name='b', labeled=labeled, refit=True)

        assert by_default.box_fit is None
        assert stated.box_fit is not None

    def test_the_margins_of_another_store_may_hold(self, label, tmp_path):
        before, store, _ = label(refit=True)
        other = labeled_set(tmp_path / 'other.json', shares=(0.6, 0.6))

        after, _, said = label(
            name='audit', labeled=other, refit=True, like=str(store.root)
        )

        assert after.box_fit == before.box_fit
        assert said == []

    @pytest.mark.parametrize(
        'damaged', [5, {}, dict(margins=[1], least=2, score_thr=0)]
    )
    def test_a_damaged_entry_is_a_sentence(self, label, damaged):
        _, store, _ = label(refit=True)
        path = store.root / 'manifest.json'
        content = json.loads(path.read_text())
        content['views']['box_fit'] = damaged
        path.write_text(json.dumps(content))

        with pytest.raises(UserError, match='is damaged: box_fit is'):
            label(refit=True)
