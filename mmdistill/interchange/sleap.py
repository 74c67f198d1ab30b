"""Files of SLEAP and all else that sleap-io reads, and `.slp` files written.

sleap-io is an optional package. It reads labels and leaves the frames in their videos;
here they are decoded by its own reader, so that a label lies on the picture that the
person saw. Frames of several videos have names of their own.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np

from mmdistill.errors import DataError
from mmdistill.interchange.project import (
    MISSING,
    OCCLUDED,
    VISIBLE,
    LabeledImage,
    LabeledInstance,
    Pixels,
    Project,
    check_files,
    optional_module,
    relative_keys,
)
from mmdistill.utils.files import read_json


def read_sleap(
    path: Path,
    images: Path | None = None,
    skip_missing: bool = False,
    predicted: bool = False,
) -> Project:
    """Read labels by sleap-io.

    Args:
        path: A `.slp` file, or any other that sleap-io reads.
        images: Folder of the videos or images where they were moved.
        skip_missing: Whether frames without a file are left out.
        predicted: Whether predictions count that no person corrected.

    Raises:
        ConfigError: If sleap-io is not installed.
        DataError: If it cannot read the file, or nothing is labeled.
    """
    sio = optional_module('sleap_io', f'reading {path.name}')
    labels = _load(sio, path)
    skeleton = _main_skeleton(labels, path)
    names = tuple(skeleton.node_names)
    frames, notes = _labeled_frames(labels, skeleton, predicted)
    if not frames:
        raise DataError(
            f'{path} has no frame that a person labeled{_hint(notes)}: label some, or '
            'take its predictions with --predicted'
        )
    videos = [frame.video for frame, _ in frames]
    located = {id(video): _located(video, path, images) for video in videos}
    unique = list({id(video): video for video in videos}.values())
    stems = _video_names(unique, located)
    names_of = {id(v): relative_keys(list(located[id(v)].values())) for v in unique}
    files, read = {}, []
    for frame, instances in frames:
        file = located[id(frame.video)][frame.frame_idx]
        key = _key(stems[id(frame.video)], frame, names_of[id(frame.video)][file])
        files[key] = file
        read.append((key, frame, instances))
    kept, note = check_files(str(path), files, skip_missing)
    labeled = [
        LabeledImage(
            key,
            _content(frame, located[id(frame.video)], files[key]),
            tuple(_instance(one, names) for one in instances),
            video=stems[id(frame.video)],
            frame=None if _is_list(frame.video) else int(frame.frame_idx),
        )
        for key, frame, instances in sorted(read, key=lambda entry: entry[0])
        if key in kept
    ]
    project = Project(
        names,
        tuple(labeled),
        skeleton=tuple((int(a), int(b)) for a, b in skeleton.edge_inds),
        pairs=_ordered_pairs(skeleton),
        category=str(skeleton.name or 'animal'),
    )
    return project.with_notes(*notes, note)


def write_slp(project: Project, path: Path, files: Mapping[str, Path]) -> None:
    """Write labels as a `.slp` file that refers to image files.

    Instances with a score become predictions, which a person takes over in SLEAP by a
    double click; all others are labels of a person. A keypoint that is occluded is not
    visible to SLEAP and keeps its position.

    Args:
        project: The labels.
        path: The file.
        files: File of each image by its key.

    Raises:
        ConfigError: If sleap-io is not installed.
    """
    sio = optional_module('sleap_io', 'writing .slp files')
    skeleton = sio.Skeleton(
        nodes=list(project.keypoints),
        edges=[tuple(link) for link in project.skeleton],
        symmetries=[tuple(pair) for pair in project.pairs],
        name=project.category,
    )
    # All images of a video have one size in SLEAP.
    groups: dict[Any, list[LabeledImage]] = {}
    for image in project.images:
        groups.setdefault((image.video, image.size), []).append(image)
    frames = []
    for images in groups.values():
        paths = [str(files[image.key].absolute()) for image in images]
        video = sio.Video.from_filename(paths)
        for number, image in enumerate(images):
            instances = [_sio_instance(sio, one, skeleton) for one in image.instances]
            frames.append(
                sio.LabeledFrame(video=video, frame_idx=number, instances=instances)
            )
    sio.save_file(sio.Labels(frames, skeletons=[skeleton]), str(path), verbose=False)


def _load(sio: ModuleType, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            labels = sio.load_file(str(path), **_names_of_labels(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f'{path} cannot be read by sleap-io {sio.__version__}: {error}; it reads '
            '.slp, DeepLabCut, Label Studio, COCO, NWB, JABS, LEAP and YOLO'
        ) from error
    if not isinstance(labels, sio.Labels) or not labels.skeletons:
        raise DataError(
            f'{path} has no labeled keypoints: sleap-io reads it as '
            f'{type(labels).__name__}; name the file or folder of the labels'
        )
    return labels


def _names_of_labels(path: Path) -> dict[str, Any]:
    """Names of keypoints of Label Studio, which sleap-io reads in no fixed order."""
    if path.suffix != '.json':
        return {}
    tasks = read_json(path, 'the labels')
    names: dict[str, None] = {}
    for task in tasks if isinstance(tasks, list) else ():
        for annotation in task.get('annotations') or ():
            for region in annotation.get('result') or ():
                labels = (region.get('value') or {}).get('keypointlabels') or ()
                names.update(dict.fromkeys(labels))
    return dict(skeleton=list(names)) if names else {}


def _main_skeleton(labels: Any, path: Path) -> Any:
    """Skeleton of most instances."""
    counts = Counter(id(one.skeleton) for frame in labels for one in frame.instances)
    return max(labels.skeletons, key=lambda skeleton: counts[id(skeleton)])


def _labeled_frames(
    labels: Any, skeleton: Any, predicted: bool
) -> tuple[list[tuple[Any, list[Any]]], list[str]]:
    """Frames with the instances that count, and sentences about the others."""
    frames, left, others = [], 0, 0
    for frame in labels:
        instances = list(frame.user_instances)
        unused = list(frame.unused_predictions)
        if predicted:
            instances += unused
        else:
            left += len(unused)
        own = [
            one for one in instances if one.skeleton.node_names == skeleton.node_names
        ]
        others += len(instances) - len(own)
        own = [one for one in own if not one.is_empty]
        if own:
            frames.append((frame, own))
    notes = []
    if left:
        notes.append(f'{left} predictions that no person corrected are left out')
    if others:
        notes.append(f'{others} instances of other skeletons are left out')
    return frames, notes


def _hint(notes: Sequence[str]) -> str:
    return f' ({"; ".join(notes)})' if notes else ''


def _is_list(video: Any) -> bool:
    return isinstance(video.filename, list)


class _Located(dict[int, Path]):
    """File of each frame of a video; the same one for all of a film."""

    def __init__(self, files: Sequence[Path], single: bool) -> None:
        super().__init__(enumerate(files))
        self.single = single

    def __missing__(self, frame: int) -> Path:
        if self.single:
            return self[0]
        raise DataError(
            f'frame {frame} is labeled in a sequence of {len(self)} images: the file '
            'lists fewer images than it labels; add them in SLEAP and save it again'
        )


def _located(video: Any, project: Path, images: Path | None) -> _Located:
    """Find the files of a video, also where they were moved."""
    names = video.filename if _is_list(video) else [video.filename]
    return _Located(
        [_found(str(n), project, images) for n in names], not _is_list(video)
    )


def _found(name: str, project: Path, images: Path | None) -> Path:
    path = PurePosixPath(name.replace('\\', '/'))
    places = [Path(name), project.parent / path, project.parent / path.name]
    if images is not None:
        # As much of the path as there is, so that two folders stay apart.
        tails = [PurePosixPath(*path.parts[-n:]) for n in range(len(path.parts), 0, -1)]
        places = [images / str(tail).lstrip('/') for tail in tails] + places[:1]
    return next((place for place in places if place.is_file()), places[0])


def _video_names(
    videos: Sequence[Any], located: Mapping[int, _Located]
) -> dict[int, str]:
    """Name videos by their files, those of one name by a number too."""
    names = {}
    for video in videos:
        first = located[id(video)][0] if located[id(video)] else Path('video')
        names[id(video)] = first.parent.name if _is_list(video) else first.stem
    counts, seen = Counter(names.values()), Counter[str]()
    unique = {}
    for video in videos:
        name = names[id(video)]
        seen[name] += 1
        unique[id(video)] = name if counts[name] == 1 else f'{name}-{seen[name]}'
    return unique


def _key(stem: str, frame: Any, name: str) -> str:
    if _is_list(frame.video):
        return f'{stem}/{name}'
    return f'{stem}/{int(frame.frame_idx):06d}.png'


def _content(frame: Any, located: _Located, file: Path) -> Path | Pixels:
    if _is_list(frame.video):
        return file
    video, number = frame.video, int(frame.frame_idx)

    def decode() -> np.ndarray:
        if str(file) != os.fspath(video.filename):
            video.replace_filename(str(file))
        # A single gray plane would be guessed from the first frame alone.
        if video.backend is not None:
            video.backend.grayscale = False
        pixels = np.asarray(video[number])
        if pixels.shape[-1] == 1:
            pixels = np.repeat(pixels, 3, axis=-1)
        return np.ascontiguousarray(pixels[..., ::-1])

    return decode


def _instance(instance: Any, names: Sequence[str]) -> LabeledInstance:
    points = instance.points
    rows = np.zeros((len(names), 3))
    for row, point in enumerate(points):
        if not np.isfinite(point['xy']).all():
            continue
        visibility = VISIBLE if point['visible'] else OCCLUDED
        # What nobody placed and is not visible is where SLEAP's template was.
        if not point['visible'] and not point['complete']:
            visibility = MISSING
        if visibility:
            rows[row] = (*point['xy'], visibility)
    attributes: dict[str, Any] = {}
    if instance.track is not None:
        attributes['individual'] = str(instance.track.name)
    score = getattr(instance, 'score', None)
    if score is not None and np.isfinite(score):
        attributes['score'] = float(score)
    return LabeledInstance(rows, attributes=attributes)


def _ordered_pairs(skeleton: Any) -> tuple[tuple[int, int], ...]:
    """Pairs of the skeleton, the left one first where the names say which it is."""
    pairs = []
    for a, b in skeleton.symmetry_inds:
        first, second = sorted((int(a), int(b)))
        if 'right' in skeleton.node_names[first].lower():
            first, second = second, first
        pairs.append((first, second))
    return tuple(sorted(pairs))


def _sio_instance(sio: ModuleType, instance: LabeledInstance, skeleton: Any) -> Any:
    kept = instance.visible
    points = np.where(kept[:, None], instance.keypoints[:, :2], np.nan)
    score = instance.attributes.get('score')
    if score is None:
        made = sio.Instance.from_numpy(points, skeleton=skeleton)
    else:
        given = instance.attributes.get('keypoint_scores')
        scores = np.full(len(points), score) if given is None else np.asarray(given)
        made = sio.PredictedInstance.from_numpy(
            points, skeleton=skeleton, point_scores=scores, score=float(score)
        )
    made.points['visible'] = instance.keypoints[:, 2] == VISIBLE
    made.points['complete'] = kept
    return made
