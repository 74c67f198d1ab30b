import numpy as np

from mmdistill.selection.counts import labeled_statistics


class Instances:
    """A labeled set of instances given by image and visibility."""

    def __init__(self, *instances):
        self.instances = instances

    def __len__(self):
        return len(self.instances)

    def get_data_info(self, number):
        image, visible = self.instances[number]
        visible = np.array([visible], np.float32)
        return dict(id=number, img_id=image, keypoints_visible=visible)


DATASET = Instances((7, [1, 0, 1]), (3, [0, 0, 1]), (7, [1, 1, 1]))


def test_instances_are_counted_by_image_and_bare_images_have_none():
    side = labeled_statistics(DATASET, num_images=4)
    assert sorted(side.per_image.tolist()) == [0, 0, 1, 2]


def test_keypoints_are_those_that_are_annotated():
    side = labeled_statistics(DATASET, num_images=2)
    assert side.visible.tolist() == [[1, 0, 1], [0, 0, 1], [1, 1, 1]]
    assert side.visible.dtype == bool


def test_a_set_that_lists_no_images_has_those_of_its_instances():
    assert labeled_statistics(DATASET, num_images=0).per_image.sum() == 3
