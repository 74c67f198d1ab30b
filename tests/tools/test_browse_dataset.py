"""MMPose's browse_dataset.py shows what a student is trained on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import pytest

from mmdistill.selection.selection import read_selection
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.store import LabelStore
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL, LABELS, call_mmpose


def images_of_samples():
    """Image of each labeled instance that trains, and of each pseudo-label."""
    content = json.loads(Path('data/toy/annotations/labeled.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    labeled = [names[each['image_id']] for each in content['annotations']]
    store = LabelStore(LABELS)
    labels = read_training_labels(store, read_selection(store))
    paths = labels.paths.to_pylist()
    return labeled, [paths[i] for i in labels.path_index]


@pytest.mark.parametrize('mode', ['transformed', 'original'])
def test_labeled_samples_and_pseudo_labels_are_shown(workshop, tool, mode):
    options = ('--cfg-options', *DISTILL)
    assert tool('train', STUDENT, '--write-config', 'stage2.py', *options) == 0
    labeled, pseudo = images_of_samples()
    # Fewer than either has, so that the second kind is not what is left over.
    most = 3

    call_mmpose(
        *('misc/browse_dataset.py', 'stage2.py', '--not-show', '--output-dir', 'shown'),
        *('--max-item-per-dataset', str(most), '--mode', mode),
    )

    shown = sorted(Path('shown').rglob('*.*'))
    # A further picture of the same image has a number in brackets.
    names = Counter(path.name.partition('(')[0].partition('.')[0] for path in shown)
    expected = labeled[:most] + pseudo[:most]
    assert names == Counter(Path(name).stem for name in expected)
    # Crops as the network sees them, or whole images.
    widths = {cv2.imread(str(path)).shape[1] for path in shown}
    assert (widths == {64}) == (mode == 'transformed')
