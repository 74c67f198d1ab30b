"""A labeled json as tools write it, through the commands; cheap checks come first."""

import json
import shutil
from pathlib import Path

import pytest

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import BOXES, DISTILL, QUICK

LABELS = Path('work_dirs/toy/labels')
LABELED = Path('data/toy/annotations/labeled.json')


def spoil(path):
    """What labeling tools legally write: text ids, no boxes, no sizes, no counts."""
    content = json.loads(path.read_text())
    for image in content['images']:
        image['id'] = f'image {image["id"]}'
        del image['width'], image['height']
    for annotation in content['annotations']:
        annotation['id'] = f'a{annotation["id"]}'
        annotation['image_id'] = f'image {annotation["image_id"]}'
        annotation['num_keypoints'] = 0
        annotation.update(bbox=None, area=None)
        del annotation['iscrowd']
    path.write_text(json.dumps(content))
    return path.read_bytes()


def test_a_labeled_json_of_another_tool_counts_and_trains_as_a_whole(
    workshop, tool, capfd
):
    before = read_selection(LabelStore(LABELS)).labeled
    spoiled = spoil(LABELED), spoil(Path('data/toy/annotations/val.json'))
    shutil.rmtree(LABELS)

    code = tool(
        *('train', STUDENT, '--work-dir', 'work_dirs/student'),
        *('--cfg-options', *DISTILL, *QUICK, 'train_cfg.max_iters=2'),
        'train_cfg.val_interval=2',
    )

    assert code == 0
    counted = read_selection(LabelStore(LABELS)).labeled
    assert (counted.images, counted.instances) == (before.images, before.instances)
    number = before.instances
    assert f'{number} of {number} annotations train' in capfd.readouterr().out
    assert LABELED.read_bytes() == spoiled[0]
    assert Path('data/toy/annotations/val.json').read_bytes() == spoiled[1]


def test_a_plan_writes_nothing_for_it(workshop, tool, capfd):
    spoil(LABELED)
    files = {path for path in Path().rglob('*') if path.is_file()}

    options = ['distill.detector=None', f'distill.unlabeled.bbox_file={BOXES}']
    options += [*DISTILL, 'train_dataloader.batch_size=5']
    assert tool('plan', STUDENT, '--cfg-options', *options) == 0

    assert {path for path in Path().rglob('*') if path.is_file()} == files
    assert 'annotations train' in capfd.readouterr().out


@pytest.mark.parametrize('command', ['plan', 'label', 'train'])
@pytest.mark.parametrize('which', ['labeled', 'val'])
def test_images_that_are_missing_are_said_before_anything_is_labeled(
    workshop, tool, capfd, command, which
):
    content = json.loads(Path(f'data/toy/annotations/{which}.json').read_text())
    number = content['annotations'][0]['image_id']
    names = {image['id']: image['file_name'] for image in content['images']}
    Path(f'data/toy/images/{which}', names[number]).unlink()
    shutil.rmtree(LABELS)
    # Unlabeled images that cannot be searched show what comes first.
    shutil.rmtree('data/toy/images/unlabeled')

    assert tool(command, STUDENT, '--cfg-options', *DISTILL, *QUICK) > 0

    role = {'labeled': 'labeled', 'val': 'validation'}[which]
    sentence = ''.join(capfd.readouterr())
    assert f'images of the {role} set' in sentence
    assert 'Traceback' not in sentence
    assert not LABELS.exists()
