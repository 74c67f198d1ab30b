"""Which frames follow each other, and what cannot be followed."""

from __future__ import annotations

import pytest

from mmdistill.datasets import UnlabeledDataset
from mmdistill.datasets.box_tracker import BoxTracker
from mmdistill.errors import UserError
from tests.helpers.media import write_video  # noqa: F401  (a fixture)


@pytest.fixture
def film(tmp_path, write_video):  # noqa: F811
    """Make videos of five frames."""

    def film(*names):
        for name in names:
            write_video(tmp_path / name, range(5))

    return film


def video(path, **options):
    return dict(type='VideoSource', path=path, **options)


@pytest.fixture
def build(tmp_path, coco_metainfo):
    def build(*sources, follow=(), **options):
        return UnlabeledDataset(
            coco_metainfo,
            data_root=str(tmp_path),
            sources=sources or None,
            follow=dict(follow),
            **options,
        )

    return build


def frames_before(dataset):
    samples = (dataset[i]['data_samples'] for i in range(len(dataset)))
    return [sample.metainfo['frame_before'] for sample in samples]


def test_frames_follow_within_their_video_and_source(
    tmp_path, film, write_images, build
):
    film('a.mp4', 'b.mp4')
    write_images(tmp_path, 'photos/0.png', 'photos/1.png')
    dataset = build(
        video('a.mp4', every=2),
        dict(type='FolderSource', path='photos'),
        video('*.mp4', name='others'),
    )
    assert list(zip(dataset.paths, frames_before(dataset), strict=True)) == [
        ('a.mp4#000000', None),
        ('a.mp4#000002', 'a.mp4#000000'),
        ('a.mp4#000004', 'a.mp4#000002'),
        ('photos/0.png', None),
        ('photos/1.png', None),
        ('a.mp4#000001', None),
        ('a.mp4#000003', 'a.mp4#000001'),
        ('b.mp4#000000', None),
        *((f'b.mp4#{i:06d}', f'b.mp4#{i - 1:06d}') for i in range(1, 5)),
    ]


def test_what_the_leak_guard_leaves_out_is_a_gap(film, build, monkeypatch):
    film('a.mp4')
    monkeypatch.setattr(
        'mmdistill.datasets.unlabeled_dataset.drop_leaked_images',
        lambda images, root, guard: [0, 1, 3, 4],
    )
    dataset = build(video('a.mp4'), leak_guard={})
    assert frames_before(dataset) == [None, 'a.mp4#000000', None, 'a.mp4#000003']


def test_the_store_is_pinned_to_how_boxes_are_followed(film, build):
    film('a.mp4')
    boxes = [
        build(video('a.mp4'), follow=follow).provenance()['boxes']
        for follow in ({}, dict(padding=2), dict(score_thr=0.5))
    ]
    assert boxes[0] == 'followed from the frame before (padding 1.5, score_thr 0.3)'
    assert len(set(boxes)) == 3


def test_images_of_a_folder_are_not_followed(tmp_path, write_images, build):
    write_images(tmp_path, 'a/0.png')
    with pytest.raises(
        UserError, match=r"consecutive frames.* got 'a' \(FolderSource\)"
    ):
        build(dict(type='FolderSource', path='a'))


def test_boxes_are_given_or_followed(tmp_path, film, build):
    film('a.mp4')
    (tmp_path / 'boxes.json').write_text('[]')
    with pytest.raises(UserError, match=r'given or followed, got .*boxes\.json too'):
        build(video('a.mp4'), bbox_file=str(tmp_path / 'boxes.json'))


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(padding=0.9), r'follow\.padding must be at least 1, got 0\.9'),
        (dict(padding=float('nan')), r'follow\.padding must be at least 1, got nan'),
        (dict(score_thr=1), r'follow\.score_thr must be from 0 to below 1, got 1'),
        (dict(pading=2), r'follow takes padding and score_thr, got .*pading'),
    ],
)
def test_wrong_options_are_refused(film, build, options, sentence):
    film('a.mp4')
    with pytest.raises(UserError, match=sentence):
        build(video('a.mp4'), follow=options)


def test_a_frame_waits_for_the_row_of_the_one_before(film, build):
    film('a.mp4')
    dataset = build(video('a.mp4'))
    samples = [dataset[number] for number in range(2)]
    batch = {key: [sample[key] for sample in samples] for key in samples[0]}
    frames = iter(BoxTracker().iter_frames(batch, None))
    next(frames)
    with pytest.raises(RuntimeError, match='decides the box of the next'):
        next(frames)


def test_options_that_are_at_their_limits_are_taken():
    assert BoxTracker(padding=1, score_thr=0).padding == 1
