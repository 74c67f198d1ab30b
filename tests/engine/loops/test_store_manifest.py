"""What produced a store."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmdistill.datasets import UnlabeledDataset
from mmdistill.engine.loops.store_manifest import make_manifest, weights_sha256
from mmdistill.errors import UserError
from mmdistill.store import LabelStore


def network(seed=0, width=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))


@pytest.fixture
def manifest(tmp_path, write_images, coco_metainfo):
    """Make a manifest of a small network over two images."""
    write_images(tmp_path / 'images', 'a.png', 'b.png')

    def manifest(module=None, views=('1', '1 flip'), images='images', **options):
        dataset = UnlabeledDataset(
            coco_metainfo,
            data_root=str(tmp_path / images),
            max_pixels=options.pop('max_pixels', 2**20),
        )
        model = SimpleNamespace(
            module=module or network(),
            ensemble=options.pop('ensemble', ()),
            provenance=lambda: {'views': list(views)},
        )
        options = {'chunk_size': 2, 'score_floor': 0.01, 'nms_thr': 0.9, **options}
        return make_manifest(model, dataset, **{'checkpoint': 'a.pth', **options})

    return manifest


@pytest.fixture
def pile(make_unlabeled):
    """Two images."""
    return make_unlabeled(['a.png', 'b.png'])


def test_equal_weights_have_equal_hashes():
    assert weights_sha256(network(3)) == weights_sha256(network(3))


def test_the_hash_does_not_depend_on_training_mode():
    assert weights_sha256(network().eval()) == weights_sha256(network().train())


@pytest.mark.parametrize(
    'key', ['0.weight', '0.bias', '1.running_mean', '1.num_batches_tracked']
)
def test_one_changed_weight_changes_the_hash(key):
    changed = network()
    changed.state_dict()[key].view(-1)[0] += 1
    assert weights_sha256(changed) != weights_sha256(network())


def test_the_same_bytes_under_another_shape_have_another_hash():
    flat = nn.ParameterDict({'x': torch.arange(6.0)})
    square = nn.ParameterDict({'x': torch.arange(6.0).reshape(2, 3)})
    assert weights_sha256(flat) != weights_sha256(square)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.bool])
def test_weights_of_any_type_are_hashed(dtype):
    module = nn.Module()
    module.register_buffer('x', torch.tensor([0, 1]).to(dtype))
    other = nn.Module()
    other.register_buffer('x', torch.tensor([1, 1]).to(dtype))
    assert weights_sha256(module) != weights_sha256(other)


def test_a_manifest_survives_json(manifest):
    made = manifest()
    assert json.loads(json.dumps(made)) == made


def test_a_store_is_continued_with_an_equal_manifest(tmp_path, manifest, pile):
    for _ in range(2):
        LabelStore(tmp_path / 'store').claim(manifest(), pile)
    assert LabelStore(tmp_path / 'store').num_chunks == 1


def test_each_teacher_of_an_ensemble_is_pinned(tmp_path, manifest, pile):
    LabelStore(tmp_path / 'store').claim(manifest(ensemble=[network(1)]), pile)
    LabelStore(tmp_path / 'store').claim(manifest(ensemble=[network(1)]), pile)
    for others in ([network(2)], [network(1), network(2)], []):
        with pytest.raises(UserError, match=r'teacher\.ensemble'):
            LabelStore(tmp_path / 'store').claim(manifest(ensemble=others), pile)


def test_paths_may_move(tmp_path, manifest, pile):
    LabelStore(tmp_path / 'store').claim(manifest(), pile)
    (tmp_path / 'images').rename(tmp_path / 'moved')
    moved = manifest(images='moved', checkpoint='elsewhere/a.pth')
    LabelStore(tmp_path / 'store').claim(moved, pile)
    assert moved['about']['img_root'] == str(tmp_path / 'moved')


@pytest.mark.parametrize(
    ('change', 'difference'),
    [
        (dict(module=network(1)), r'teacher\.weights'),
        (dict(module=network(0, width=5)), r'teacher\.architecture'),
        (dict(ensemble=[network(1)]), r'teacher\.ensemble'),
        (dict(views=('1',)), 'views'),
        (dict(chunk_size=3), 'chunk_size'),
        (dict(score_floor=0.1), 'score_floor'),
        (dict(nms_thr=0.5), 'nms_thr'),
        (dict(max_pixels=9), 'max_pixels'),
    ],
)
def test_another_teacher_or_way_is_refused(
    tmp_path, manifest, pile, change, difference
):
    LabelStore(tmp_path / 'store').claim(manifest(), pile)
    with pytest.raises(UserError, match=f'{difference}: the store has'):
        LabelStore(tmp_path / 'store').claim(manifest(**change), pile)
