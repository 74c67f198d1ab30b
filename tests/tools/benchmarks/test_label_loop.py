"""The benchmark runs the real loop on its shards and tells all figures."""

from __future__ import annotations

import json
import tarfile

import pytest

from mmdistill.store import LabelStore


@pytest.fixture
def benchmark(load):
    return load('label_loop')


def test_the_shards_hold_every_image_once(benchmark, tmp_path):
    benchmark.write_shards(tmp_path, [b'one', b'other'], images=5, shards=2)
    names, content = [], []
    for shard in sorted(tmp_path.glob('*.tar')):
        with tarfile.open(shard) as tar:
            for member in tar:
                names.append(member.name)
                content.append(tar.extractfile(member).read())
    assert sorted(names) == [f'{number:08d}.jpg' for number in range(5)]
    assert content == [b'one', b'one', b'one', b'other', b'other']


@pytest.mark.parametrize('reduced', [False, True])
def test_workers_write_the_same_bytes(benchmark, tmp_path, reduced):
    benchmark.write_shards(tmp_path, benchmark.encoded_pictures()[:3], 9, 2)
    stores = []
    for workers in (0, 2):
        store = tmp_path / f'labels{workers}'
        options = benchmark.argparse.Namespace(
            workers=workers, batch_size=4, reduced=reduced
        )
        benchmark.make_loop(tmp_path, store, options).run()
        assert len(LabelStore(store).paths()) == 9
        chunks = sorted(store.glob('chunks/*.parquet'))
        stores.append([chunk.read_bytes() for chunk in chunks])
    assert stores[0] == stores[1]


def test_all_figures_are_told(benchmark, capsys):
    benchmark.main(['--images', '6', '--shards', '2', '--workers', '1'])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = ('images_per_second', 'decoder_cpu_ms', 'main_cpu_ms', 'workers_cpu_ms')
    assert told['images'] == 6
    assert all(told[name] > 0 for name in figures)
