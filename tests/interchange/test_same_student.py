"""One student, whichever tool its labels come from, by the commands of a user."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.projects import (
    NAMES,
    SIZE,
    draw,
    draw_points,
    write_deeplabcut,
)
from tests.helpers.recipes import TEACHER
from tests.helpers.workshop import call_tool, contents

sio = pytest.importorskip('sleap_io', reason='pip install "mmdistill[import]"')

POINTS = [draw_points(number)[0] for number in range(6)]
SKELETON = ((0, 1), (1, 3))
RECIPE = Path('configs/distill/mouse')
LABELED = Path('data/mouse')
LOW_SCORES = ('distill.labeling.score_floor=-1', 'distill.selection.keypoint_thr=-1')
ONE_PROCESS = [
    f'{each}_dataloader.{key}={value}'
    for each in ('train', 'val')
    for key, value in (('num_workers', 0), ('persistent_workers', False))
]


def from_json(frames: Path) -> None:
    """Keypoints alone, as a script of one's own writes them."""
    shutil.copytree(frames, LABELED / 'images/m1')
    seen = [np.isfinite(points).all(axis=1) for points in POINTS]
    rows = [
        np.concatenate([np.nan_to_num(points), 2.0 * kept[:, None]], axis=1)
        for points, kept in zip(POINTS, seen, strict=True)
    ]
    size = dict(width=SIZE[0], height=SIZE[1])
    content = dict(
        images=[
            dict(id=n, file_name=f'm1/img{n:03d}.png', **size)
            for n in range(len(POINTS))
        ],
        annotations=[
            dict(id=n, image_id=n, category_id=1, keypoints=each.ravel().tolist())
            for n, each in enumerate(rows)
        ],
        categories=[
            dict(
                id=1,
                name='mouse',
                keypoints=list(NAMES),
                skeleton=[[a + 1, b + 1] for a, b in SKELETON],
            )
        ],
    )
    (LABELED / 'labeled.json').write_text(json.dumps(content))


def from_deeplabcut(frames: Path) -> None:
    """A project as DeepLabCut makes it, with its config and tables."""
    write_deeplabcut(Path('project'), dict(m1=[points[None] for points in POINTS]))
    shutil.copytree(frames, 'project/labeled-data/m1', dirs_exist_ok=True)
    assert call_tool('import_labels', 'project', str(LABELED)) == 0


def from_sleap(frames: Path) -> None:
    """A file that sleap-io writes of the same frames."""
    skeleton = sio.Skeleton(nodes=list(NAMES), edges=list(SKELETON), name='mouse')
    video = sio.Video.from_filename([str(file) for file in sorted(frames.iterdir())])
    labels = sio.Labels(
        [
            sio.LabeledFrame(
                video=video,
                frame_idx=number,
                instances=[sio.Instance.from_numpy(points, skeleton=skeleton)],
            )
            for number, points in enumerate(POINTS)
        ],
        skeletons=[skeleton],
    )
    sio.save_file(labels, 'mouse.slp', verbose=False)
    assert call_tool('import_labels', 'mouse.slp', str(LABELED)) == 0


def trained() -> dict[str, torch.Tensor]:
    """The student of `data/mouse` by three commands, two steps each."""
    for number in range(4):
        draw(Path(f'unlabeled/{number}.png'), 50 + number)
    for number in range(2):
        draw(Path(f'val/{number}.png'), 70 + number)
    images = [
        dict(id=n, file_name=f'{n}.png', width=SIZE[0], height=SIZE[1])
        for n in range(2)
    ]
    poses = [
        dict(id=n, image_id=n, category_id=1, keypoints=[8, 9, 2, 30, 12, 2] * 2)
        for n in range(2)
    ]
    categories = [dict(id=1, name='mouse', keypoints=list(NAMES))]
    Path('val/val.json').write_text(
        json.dumps(dict(images=images, annotations=poses, categories=categories))
    )
    data = ('--labeled', str(LABELED / 'labeled.json'), '--unlabeled', 'unlabeled')
    settings = ('--model', TEACHER, '--iterations', '2', '--batch-size', '4')
    rate = ('--lr', '0.1')
    val = ('--val', 'val/val.json')
    assert call_tool('new_recipe', 'mouse', *data, *val, *settings, *rate) == 0
    for name in ('teacher', 'student'):
        options = [*ONE_PROCESS, *(LOW_SCORES if name == 'student' else ())]
        config = str(RECIPE / f'{name}.py')
        assert call_tool('train', config, '--cfg-options', *options) == 0
    return torch.load('work_dirs/mouse/student/plain_model.pth')['state_dict']


def annotations() -> list[tuple[object, ...]]:
    """What a training reads of the labels, in its order."""
    content = json.loads((LABELED / 'labeled.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    return [
        (names[a['image_id']], a.get('bbox'), a['keypoints'])
        for a in content['annotations']
    ]


def test_the_student_is_the_same_from_json_deeplabcut_and_sleap(tmp_path, monkeypatch):
    frames = tmp_path / 'frames/m1'
    for number in range(len(POINTS)):
        draw(frames / f'img{number:03d}.png', number)
    recipes, students, labels = {}, {}, {}
    for source in (from_json, from_deeplabcut, from_sleap):
        root = tmp_path / source.__name__
        root.mkdir()
        monkeypatch.chdir(root)
        source(frames)
        students[source], labels[source] = trained(), annotations()
        # A module of the recipe is compiled by the process that imports it first.
        written = contents(RECIPE).items()
        recipes[source] = {name: text for name, text in written if '.pyc' not in name}

    for source in (from_deeplabcut, from_sleap):
        assert recipes[source] == recipes[from_json]
        assert [(name, points) for name, _, points in labels[source]] == [
            (name, points) for name, _, points in labels[from_json]
        ]
        assert [box for _, box, _ in labels[source]] == [
            box for _, box, _ in labels[from_deeplabcut]
        ]
        assert students[source].keys() == students[from_json].keys()
        for name, value in students[from_json].items():
            assert torch.equal(students[source][name], value), name
