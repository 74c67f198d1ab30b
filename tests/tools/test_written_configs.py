"""Written configs through MMPose's own tools: keypoints stay what they are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from mmdistill.config.text import write_config
from mmdistill.store import LabelStore, parquet
from mmdistill.store.manifest import chunk_origin
from mmdistill.utils.files import write_bytes
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import (
    DISTILL,
    LABELS,
    MMPOSE,
    QUICK,
    TEACHER_FILE,
    call_mmpose,
    contents,
)

COCO = Config.fromfile(MMPOSE / 'configs/_base_/datasets/coco.py').dataset_info
# What decides the pairs alone: MMEngine takes seconds to lay out the rest.
SHORT = dict(
    COCO.to_dict(),
    paper_info={},
    keypoint_info={
        number: dict(name=entry.name, swap=entry.swap)
        for number, entry in COCO.keypoint_info.items()
    },
    skeleton_info={},
)
FLIP_INDICES = parse_pose_metainfo(COCO)['flip_indices']
INLINE = """
_base_ = {base!r}
{metainfo}
for_all = dict(dataset=dict(metainfo=dict(_delete_=True, **metainfo)))
train_dataloader = for_all
val_dataloader = for_all
test_dataloader = for_all
"""


@pytest.fixture
def recipe(workshop):
    """The toy recipe with the 17 keypoints of COCO written out."""
    text = INLINE.format(base=STUDENT, metainfo=f'metainfo = {SHORT!r}')
    Path('recipe.py').write_text(text)
    return 'recipe.py'


def all_flip_indices(config):
    """Mirror partners of every data set within a config, as MMPose parses them."""
    found = []
    parts = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if 'keypoint_info' in part:
                found.append(parse_pose_metainfo(part)['flip_indices'])
            parts += part.values()
        elif isinstance(part, (list, tuple)):
            parts += part
    return found


def assert_in_order(config, least):
    found = all_flip_indices(config.to_dict())
    assert len(found) >= least
    assert all(each == FLIP_INDICES for each in found)


def test_mmengine_would_write_other_pairs(recipe):
    # What this is for: if this fails, MMEngine has mended it.
    back = Config.fromstring(Config.fromfile(recipe).pretty_text, '.py')
    assert all(each != FLIP_INDICES for each in all_flip_indices(back.to_dict()))


def test_mmpose_labels_with_the_written_config_as_we_do(recipe, tool):
    options = ('--cfg-options', *DISTILL)
    write = ('--write-config', 'stage1.py')
    labels = f'distill.store={LABELS}_written'
    assert tool('label', recipe, *write, *options, labels) == 0

    call_mmpose('test.py', 'stage1.py', TEACHER_FILE, '--work-dir', 'tested')

    assert contents(Path(f'{LABELS}_written')) == contents(Path(LABELS))
    assert_in_order(Config.fromfile('tested/stage1.py'), 2)


def test_mmpose_trains_with_the_written_config_on_the_same_pairs(recipe, tool):
    options = ('--cfg-options', *DISTILL, *QUICK)
    assert tool('train', recipe, '--write-config', 'stage2.py', *options) == 0
    written = Config.fromfile('stage2.py')
    assert_in_order(written, 4)
    init_default_scope('mmpose')
    assert DATASETS.build(written.train_dataloader.dataset).metainfo[
        'flip_indices'
    ] == list(FLIP_INDICES)

    # As MMPose's train.py does, without its start in a process of its own.
    written.work_dir = 'trained'
    Runner.from_cfg(written).train()

    checkpoint = torch.load('trained/iter_4.pth', weights_only=False)
    texts = [
        Path('trained/stage2.py').read_text(),
        *(path.read_text() for path in Path('trained').glob('*/vis_data/config.py')),
        checkpoint['meta']['cfg'],
    ]
    assert len(texts) == 3
    for text in texts:
        assert_in_order(Config.fromstring(text, '.py'), 4)
    assert checkpoint['meta']['dataset_meta']['flip_indices'] == FLIP_INDICES


def test_our_own_runs_write_their_configs_in_order(recipe, tool):
    options = ('--cfg-options', *DISTILL, *QUICK)
    assert tool('train', recipe, '--work-dir', 'trained', *options) == 0
    for name in ('trained/recipe.py', 'trained/label/recipe.py'):
        assert_in_order(Config.fromfile(name), 2)
    checkpoint = torch.load('trained/iter_4.pth', weights_only=False)
    assert_in_order(Config.fromstring(checkpoint['meta']['cfg'], '.py'), 4)


def test_a_config_that_the_host_scrambled_is_read_in_order(recipe, tool, capfd):
    """As one that MMPose's own training left in its work folder."""
    Path('scrambled.py').write_text(Config.fromfile(recipe).pretty_text)
    teacher = "distill.teacher.config='scrambled.py'"
    labels = f'distill.store={LABELS}_again'

    assert (
        tool('label', 'scrambled.py', '--cfg-options', *DISTILL, teacher, labels) == 0
    )

    assert contents(Path(f'{LABELS}_again')) == contents(Path(LABELS))
    said = 'keypoint_info of coco does not stand in the order of its numbers'
    assert said in ''.join(capfd.readouterr())


def test_labels_of_other_pairs_are_not_mixed(recipe, tool, capfd):
    changed = Config.fromfile(recipe)
    keypoints = changed.test_dataloader.dataset.metainfo.keypoint_info
    keypoints[1].swap = keypoints[2].swap = ''
    for loader in (changed.train_dataloader, changed.test_dataloader):
        loader.dataset.metainfo.keypoint_info = keypoints
    write_config(changed, 'changed.py')

    assert tool('label', 'changed.py', '--cfg-options', *DISTILL) == 2
    assert 'flip_indices: the store has [0, 2, 1,' in capfd.readouterr().err


def test_a_store_from_before_pairs_were_recorded_is_continued(workshop, tool, capfd):
    store = LabelStore(LABELS)
    manifest = store.manifest
    rows = store.read()
    assert manifest.pop('flip_indices') == FLIP_INDICES
    # Chunks name what they belong to, so the old store is made anew.
    old = LabelStore('old')
    pile = SimpleNamespace(
        paths=rows.paths.to_pylist(),
        boxes_sha256=lambda _: manifest['images']['generations'][0]['boxes'],
    )
    old.claim(manifest, pile)
    for chunk in old.missing_chunks():
        table = pa.concat_tables(store.scan(chunks=[chunk]))
        data = parquet.encode(
            table, chunk_origin(old.manifest, old.chunk_spans()[chunk], chunk)
        )
        write_bytes(Path(f'old/chunks/{chunk:06d}.parquet'), data)
    Path(f'old/chunks/{old.num_chunks - 1:06d}.parquet').unlink()

    options = ('--cfg-options', *DISTILL, 'distill.store=old')
    assert tool('label', STUDENT, *options) == 0

    assert 'flip_indices' not in old.manifest
    assert (
        old.read().candidates.keypoints.tolist() == rows.candidates.keypoints.tolist()
    )
    said = 'was begun before manifests had flip_indices, which is not compared'
    assert said in ''.join(capfd.readouterr())
