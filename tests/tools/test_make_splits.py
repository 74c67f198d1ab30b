"""Tests of the tool that splits a COCO json."""

import json

import pytest


@pytest.fixture
def labeled(toy_root):
    return toy_root / 'annotations' / 'labeled.json'


@pytest.mark.parametrize(
    ('rule', 'images'),
    [
        (['--first-instances', '1'], 1),
        (['--random', '4', '--seed', '3'], 4),
        (['--random', '2', '--by', 'id'], 2),
    ],
)
def test_a_split_is_written(labeled, tmp_path, tool, capsys, rule, images):
    arguments = [str(labeled), str(tmp_path), 'part', *rule]
    assert tool('make_splits', *arguments) == 0

    part = json.loads((tmp_path / 'part_labeled.json').read_text())
    assert len(part['images']) == images
    assert f'on {images} labeled images, {6 - images} unlabeled' in (
        capsys.readouterr().out
    )


def test_images_of_another_json_are_labeled(labeled, tmp_path, tool):
    train = json.loads(labeled.read_text())
    listed = tmp_path / 'listed.json'
    listed.write_text(json.dumps(dict(images=train['images'][2:4])))

    arguments = [str(labeled), str(tmp_path), 'part', '--listed', str(listed)]
    assert tool('make_splits', *arguments) == 0

    part = json.loads((tmp_path / 'part_labeled.json').read_text())
    assert part['images'] == train['images'][2:4]


@pytest.mark.parametrize(
    ('option', 'told'),
    [
        ([], 'compared by name and id alone'),
        (['--img', 'images/labeled'], '6 of 6 images compared by content: no unlabel'),
        (['--img', 'images/labeled', '--no-content'], 'compared by name and id alone'),
    ],
)
def test_how_the_sides_were_compared_is_reported(
    labeled, tmp_path, tool, capsys, monkeypatch, option, told
):
    monkeypatch.chdir(labeled.parents[1])
    arguments = [str(labeled), str(tmp_path), 'part', '--random', '2', *option]

    assert tool('make_splits', *arguments) == 0

    assert told in capsys.readouterr().out


@pytest.mark.parametrize('side', ['labeled', 'unlabeled', 'oracle', ''])
def test_a_split_never_replaces_what_it_reads(labeled, tmp_path, tool, capsys, side):
    source = tmp_path / f'part{side and "_"}{side}.json'
    source.write_bytes(labeled.read_bytes())
    rules = (
        [str(source), str(tmp_path), 'part', '--random', '2'],
        [str(labeled), str(tmp_path), 'part', '--listed', str(source)],
    )

    for arguments, what in zip(rules, ('ann_file', '--listed'), strict=True):
        assert tool('make_splits', *arguments) == 2
        assert f'is {what}, which it would replace' in capsys.readouterr().err
    assert source.read_bytes() == labeled.read_bytes()
    assert list(tmp_path.iterdir()) == [source]
