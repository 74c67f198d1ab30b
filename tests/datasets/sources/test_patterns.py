"""Files that paths and patterns name."""

from __future__ import annotations

import glob
import gzip
import subprocess
from pathlib import Path

import pytest

from mmdistill.datasets.sources import (
    FolderSource,
    GlobSource,
    ListSource,
    TarSource,
    VideoSource,
)
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.patterns import find_files
from mmdistill.errors import UserError

ODD = [
    *('title [id]', 'a{b,c}', 'a{1..3}', 'what?', 'st*r', '[!x]', 'a]b[', '{', '}{'),
    *(
        ' two  words ',
        'tab\tbed',
        'a\\b',
        '#1',
        'zwölf 🙂',
        "it's",
        '"q"',
        '$HOME',
        '~',
    ),
]


@pytest.mark.parametrize('name', ODD)
def test_an_existing_video_is_no_pattern(tmp_path, write_video, name):
    write_video(tmp_path / f'{name}.mp4', range(2))
    source = VideoSource(tmp_path, f'{name}.mp4')
    listing = source.list_images()
    assert listing.keys == [f'{name}.mp4#{i:06d}' for i in range(2)]
    assert source.name == name
    image = source.read(listing.keys[1], listing.locations[1], ImageReader())
    assert image.reason == ''


@pytest.mark.parametrize('name', ODD)
def test_an_existing_tar_is_no_pattern(tmp_path, write_tar, name):
    write_tar(tmp_path / f'{name}.tar', {'0.png': b'x'})
    keys = TarSource(tmp_path, f'{name}.tar').list_images().keys
    assert keys == [f'{name}.tar#0.png']


@pytest.mark.parametrize('name', ODD)
def test_an_existing_folder_is_no_pattern(
    tmp_path, write_images, write_video, write_tar, name
):
    write_images(tmp_path, f'{name}/0.png', f'{name}/sub/1.png')
    write_video(tmp_path / name / '2.mp4', range(1))
    write_tar(tmp_path / name / '3.tar', {'4.png': b'x'})
    images = [f'{name}/0.png', f'{name}/sub/1.png']
    assert FolderSource(tmp_path, name).list_images().keys == images
    assert GlobSource(tmp_path, name).list_images().keys == images
    assert GlobSource(tmp_path, f'{name}/*.png').list_images().keys == images[:1]
    assert GlobSource(tmp_path, f'{name}/**/*.png').list_images().keys == images
    videos = VideoSource(tmp_path, f'{name}/*.mp4').list_images().keys
    assert videos == VideoSource(tmp_path, name).list_images().keys
    assert videos == [f'{name}/2.mp4#000000']
    assert TarSource(tmp_path, name).list_images().keys == [f'{name}/3.tar#4.png']


def test_a_list_of_an_odd_name_names_what_it_names(tmp_path, write_images):
    write_images(tmp_path, 'i [1]/.a{b,c}*.png')
    (tmp_path / 'l [1].txt').write_text('.a{b,c}*.png')
    source = ListSource(tmp_path, 'l [1].txt', img_root='i [1]')
    assert source.list_images().keys == ['i [1]/.a{b,c}*.png']


def test_what_exists_comes_before_what_matches(tmp_path, write_images):
    write_images(tmp_path, 'a1.png', 'a[1].png', 'b1.png')
    assert find_files(tmp_path, 'a[1].png', ['.png']).paths == ['a[1].png']
    assert find_files(tmp_path, 'b[1].png', ['.png']).paths == ['b1.png']


PATTERNS = [
    *('*.png', 'c?/*.png', 'c[12]/x/*', '**/*.png', '**', 'c1/**/1.*', '*/x/1.png'),
    *('**/x/*.png', '*/*/*', 'c1/0.png', '[!o]*/x/1.png', 'c*/**/x/**/*.png', '*'),
]


@pytest.mark.parametrize('pattern', PATTERNS)
def test_patterns_match_what_python_matches(tmp_path, write_images, pattern):
    names = ('c2/x/1.png', 'c1/0.png', 'c1/x/1.png', 'other/1.png', 'a.png')
    write_images(tmp_path, *names, 'c1/x/y/z/1.png')
    (tmp_path / 'c1/1.txt').touch()
    expected = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207
    images = sorted(path for path in expected if path.endswith('.png'))
    assert find_files(tmp_path, pattern, ['.png']).paths == images
    absolute = find_files(Path('/nowhere'), f'{tmp_path}/{pattern}', ['.png']).paths
    assert absolute == [f'{tmp_path}/{path}' for path in images]


BRACES = [
    *('{0..3}', '{3..0}', '{00..10}', '{8..11}', '{08..11}', '{a,b}', '{a,{b,c}d}e'),
    *('{a,b}{1..2}', '{a,}', 'x{1..2}{y,z}', '{a', 'a}', '{a}', '{{1..2},c}', '{}'),
    *('{1..2', '{a..c', '{{a,b}', '{a,b}}'),
]


@pytest.mark.parametrize('braces', BRACES)
def test_braces_stand_for_what_a_shell_makes_of_them(tmp_path, braces):
    shell = ['bash', '-c', f'printf "%s\\n" p-{braces}.tar']
    names = subprocess.run(shell, capture_output=True, text=True, check=True)
    expected = names.stdout.splitlines()
    for name in expected:
        (tmp_path / name).touch()
    assert find_files(tmp_path, f'p-{braces}.tar', ['.tar']).paths == expected


@pytest.mark.parametrize(
    'pattern',
    [
        *('p-{0..999999999}.tar', 'p-{999999999999999999..0}.tar', '{0..9}' * 9),
        *('{a,b}' * 50, '{0..99999}{0..99999}'),
    ],
)
def test_more_names_than_anyone_has_files_are_a_sentence(tmp_path, pattern):
    with pytest.raises(UserError, match='expands to more than 100000 names'):
        TarSource(tmp_path, pattern).list_images()


@pytest.mark.parametrize(
    'pattern',
    [
        *('{' * 3000, '{a,' * 1000, '}' * 3000, '{' * 1500 + '}' * 1500, 'a' * 5000),
        *('x' * 300 + '.tar', '[' * 2000, '*' * 200 + 'x', '**/' * 50 + 'x', '\0', ''),
        *('{' * 500 + 'a,b' + '}' * 500, '../' * 100 + 'x*', '/dev/null', '/dev/zero'),
    ],
)
@pytest.mark.parametrize('kind', [TarSource, GlobSource, VideoSource])
def test_hostile_patterns_are_a_sentence(tmp_path, kind, pattern):
    with pytest.raises(UserError):
        kind(tmp_path, pattern).list_images()


def test_missing_files_of_a_range_are_one_sentence(tmp_path, write_tar):
    for number in (0, 7):
        write_tar(tmp_path / f'p-{number:05d}.tar', {'0.png': b'x'})
    listing = TarSource(tmp_path, 'p-{00000..50000}.tar').list_images()
    assert listing.keys == ['p-00000.tar#0.png', 'p-00007.tar#0.png']
    (problem,) = listing.problems
    assert problem.startswith('49999 of the 50001 files that')


def test_a_file_with_another_ending_is_named(tmp_path):
    (tmp_path / 'a.tar.gz').touch()
    with pytest.raises(UserError, match=r'1 files of a\.tar\.gz are not read'):
        TarSource(tmp_path, 'a.tar.gz').list_images()


PACKED = ('c.tgz', 'd.tar.gz', 'e.zip', 'sub/f.tar.xz')


@pytest.fixture
def folder_of_tars(tmp_path, write_tar):
    """A plain tar beside compressed ones."""
    (tmp_path / 't/sub').mkdir(parents=True)
    write_tar(tmp_path / 't/a.tar', {'0.png': b'x'})
    for name in (*PACKED, 'notes.txt'):
        (tmp_path / 't' / name).touch()
    return tmp_path


def test_compressed_tars_of_a_folder_are_said(folder_of_tars):
    listing = TarSource(folder_of_tars, 't').list_images()

    assert listing.keys == ['t/a.tar#0.png']
    (problem,) = listing.problems
    assert problem.startswith(f'4 files of {folder_of_tars / "t"} are not read')
    assert ': 1 .gz, 1 .tgz, 1 .xz, 1 .zip; unpack what is compressed' in problem


@pytest.mark.parametrize(
    ('pattern', 'count'), [('t/*.tar', 3), ('t/**/*.tar', 4), ('{t,u}/?.tar', 3)]
)
def test_compressed_tars_beside_those_of_a_pattern_are_said(
    folder_of_tars, pattern, count
):
    listing = TarSource(folder_of_tars, pattern).list_images()

    assert listing.keys == ['t/a.tar#0.png']
    (problem,) = listing.problems
    assert problem.startswith(f'{count} files beside those of {pattern} are not read')
    assert 't/c.tgz' in problem


def test_the_advice_about_compressed_tars_is_followed(tmp_path, write_tar):
    packed = tmp_path / 't/a.tar.gz'
    plain = write_tar(tmp_path / 'a.tar', {'0.png': b'x'})
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(UserError, match='unpack what is compressed'):
        TarSource(tmp_path, 't').list_images()

    (tmp_path / 't/a.tar').write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert TarSource(tmp_path, 't').list_images().problems == []
