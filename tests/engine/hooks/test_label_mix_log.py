"""What the log says of the mix."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmpose.registry import DATASETS

from mmdistill.datasets import PseudoImageDataset
from mmdistill.engine.hooks.label_mix_hook import (
    check_pseudo,
    log_label_mix,
    mix_scalars,
)
from tests.helpers.pseudo import Pseudo
from tests.helpers.trainings import Batches

CHANCE = SimpleNamespace()
FIXED = Batches(num_labeled=3, batch_size=5, world_size=2)
LABELED = range(9)


@pytest.mark.parametrize(
    ('batches', 'words'),
    [
        (FIXED, '3 of 5 in a batch are labeled (0.600, as stated)'),
        (CHANCE, 'by chance'),
    ],
)
def test_the_mix_is_told(make_selection, logged, batches, words):
    log_label_mix(
        [LABELED], [Pseudo(7, 80, make_selection(0.5))], batches, iterations=9
    )
    first, second = logged
    assert 'sees 9 labeled instances and 7 pseudo-labels' in first
    assert words in first
    assert 'pseudo-labels of store: instance score threshold 0.5000' in second


def test_a_share_from_the_sizes_is_logged_as_such(make_selection, logged):
    batches = Batches(num_labeled=3, batch_size=5, world_size=2)
    batches.is_balanced = True

    log_label_mix([LABELED], [Pseudo(7, 80, make_selection(0.5))], batches, 9)

    assert 'are labeled (0.600, from the sizes of both sets)' in logged[0]


def test_how_often_each_sample_comes_is_told(make_selection, logged):
    """10 steps on 2 ranks: 60 labeled slots and 40 others."""
    pseudo = [Pseudo(count, 80, make_selection(0.5)) for count in (7, 1)]
    log_label_mix([LABELED, range(6)], pseudo, FIXED, iterations=10)
    assert 'in 10 iterations each labeled instance comes 4.0 times' in logged[0]
    assert 'each pseudo-label 5.0 times' in logged[0]


def test_a_finish_is_told_and_counted(make_selection, logged):
    """6 mixed steps and 4 labeled ones on 2 ranks: 76 labeled slots and 24 others."""
    batches = Batches(num_labeled=3, batch_size=5, world_size=2, first_finishing=6)
    pseudo = [Pseudo(8, 80, make_selection(0.5))]
    log_label_mix([range(19)], pseudo, batches, iterations=10)
    assert 'from iteration 6 on all are labeled; in 10 iterations each' in logged[0]
    assert 'labeled instance comes 4.0 times' in logged[0]
    assert 'each pseudo-label 3.0 times' in logged[0]


@pytest.mark.parametrize(('batches', 'share'), [(FIXED, 3 / 5), (CHANCE, 9 / 16)])
def test_figures_are_those_of_all_sources(make_selection, batches, share):
    pseudo = [Pseudo(count, 10 * count, make_selection(0.5)) for count in (5, 2)]
    assert mix_scalars([LABELED], pseudo, batches) == {
        'mix/labeled_instances': 9,
        'mix/pseudo_labels': 7,
        'mix/visible_keypoints': 70,
        'mix/labeled_share': share,
    }


class PseudoImages(PseudoImageDataset, Pseudo):
    """Images with two pseudo-labels each."""

    @property
    def num_labels(self):
        return 2 * len(self)

    def __init__(self, *arguments):
        Pseudo.__init__(self, *arguments)

    def __len__(self):
        return Pseudo.__len__(self)


@pytest.fixture
def images(labeled):
    """The labeled images of the toy data set, whole."""
    return DATASETS.build(dict(labeled, data_mode='bottomup'))


def test_samples_of_whole_images_are_told_apart_from_labels(
    make_selection, logged, images, labeled
):
    """10 steps on 2 ranks: 60 labeled slots and 40 others."""
    instances = len(DATASETS.build(labeled))
    assert len(images) == 5 < instances

    pseudo = [PseudoImages(8, 80, make_selection(0.5))]
    log_label_mix([images], pseudo, FIXED, iterations=10)

    line = next(line for line in logged if 'the student sees' in line)
    assert f'sees {instances} labeled instances on 5 images and 16 pseudo-l' in line
    assert 'on 8 images with 80 visible keypoints; 3 of 5 images in a batch' in line
    assert 'each labeled image comes 12.0 times and each pseudo-labeled one 5.0' in line
    figures = mix_scalars([images], pseudo, CHANCE)
    assert figures['mix/labeled_instances'] == instances
    assert figures['mix/pseudo_labels'] == 16
    assert figures['mix/labeled_share'] == 5 / 13


def test_labels_are_compared_with_the_aim_and_not_their_images(make_selection, logged):
    """The aim is 7.5 labels."""
    check_pseudo(PseudoImages(10, 80, make_selection(0.5)))
    assert not logged
    check_pseudo(PseudoImages(12, 80, make_selection(0.5)))
    assert '24 pseudo-labels of store are 3.20 times the 7.5' in logged[0]
