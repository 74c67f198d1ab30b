"""Projects of DeepLabCut, read and written.

A project is a folder with a `config.yaml`; the labels of each video are a table below
`labeled-data/`, one row for each frame, which is a file beside it. The table is a csv
and the same as h5; the csv is read where both exist.

Tables are read here and not by sleap-io, which sorts the keypoints alphabetically,
shifts all labels of a video where one of its images is missing, and reads no h5.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mmdistill.errors import DataError, shortened
from mmdistill.interchange.project import (
    VISIBLE,
    LabeledImage,
    LabeledInstance,
    Project,
    check_files,
    keypoint_rows,
    optional_module,
)

TABLES = ('.csv', '.h5')
H5_KEY = 'df_with_missing'
UNIQUE = 'single'
"""Individual that holds the body parts that are of no animal."""
CONFIG_KEYS = ('bodyparts', 'scorer', 'video_sets', 'multianimalbodyparts')


def is_project(path: Path) -> bool:
    """Whether a path is a project of DeepLabCut, its config, or one of its tables.

    Args:
        path: A file or folder.
    """
    if path.is_dir():
        return (path / 'config.yaml').is_file() and _is_config(path / 'config.yaml')
    if path.suffix in ('.yaml', '.yml'):
        return _is_config(path)
    if path.suffix == '.csv':
        with path.open(encoding='utf-8', errors='replace') as file:
            return file.readline().startswith('scorer,')
    return path.suffix == '.h5' and path.name.startswith('CollectedData_')


@dataclass(frozen=True)
class _Table:
    """A table as text.

    Attributes:
        path: Its file.
        columns: Individual, body part and coordinate of each column; the individual
            is empty where the project has one animal.
        rows: Path of each frame in the project, and its values.
    """

    path: Path
    columns: list[tuple[str, str, str]]
    rows: list[tuple[str, list[str]]]


def read_deeplabcut(
    path: Path, images: Path | None = None, skip_missing: bool = False
) -> Project:
    """Read the labels of a project of DeepLabCut.

    Keypoints are in the order of the project's config, else of the table. Each
    individual is an instance; body parts that are of no animal are left out.

    Args:
        path: Folder of the project, its `config.yaml`, or one table.
        images: Folder of the images where they are not in the project.
        skip_missing: Whether frames without an image are left out.

    Raises:
        DataError: If the project has no labels, or images are missing.
    """
    root, config, files = _files_of(path)
    tables = [_read_table(file) for file in files]
    names, unique = _names(config, tables)
    found, empty = [], 0
    for table in tables:
        for key, values in table.rows:
            instances = tuple(_instances(table.columns, values, names))
            empty += not instances
            if instances:
                found.append((_image_file(root, table.path, key, images), instances))
    role = f'the DeepLabCut project {path}'
    if not found:
        raise DataError(f'{role} has no labeled frame: label some in DeepLabCut first')
    paths = {_key(file): file for file, _ in found}
    kept, note = check_files(role, paths, skip_missing)
    labeled = [
        LabeledImage(_key(file), file, instances, video=file.parent.name)
        for file, instances in found
        if _key(file) in kept
    ]
    notes = (
        note,
        f'{empty} frames without a label are left out' if empty else '',
        f'body parts of no animal are left out: {", ".join(unique)}' if unique else '',
    )
    project = Project(
        tuple(names),
        tuple(labeled),
        skeleton=_skeleton(config, names),
        category=str(config.get('Task') or 'animal'),
    )
    return project.with_notes(*notes)


def write_deeplabcut(project: Project, folder: Path, files: Mapping[str, Path]) -> None:
    """Write labels as a project of DeepLabCut.

    Args:
        project: The labels. An image with several instances makes it a project of
            several animals.
        folder: Folder of the project.
        files: File of each image by its key, below `labeled-data/<video>/` of it.

    Raises:
        ConfigError: If pandas or PyTables are missing.
    """
    most = max((len(image.instances) for image in project.images), default=1)
    config = _config(project, most, folder)
    by_video: dict[str, list[tuple[str, LabeledImage]]] = {}
    for image in project.images:
        file = files[image.key]
        by_video.setdefault(file.parent.name, []).append((file.name, image))
    config['video_sets'] = {
        f'{name}.avi': dict(crop='0, 0, 0, 0') for name in sorted(by_video)
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / 'config.yaml').write_text(text, encoding='utf-8')
    for video, images in sorted(by_video.items()):
        table = _table_text(project, images, video, config)
        stem = folder / 'labeled-data' / video / f'CollectedData_{config["scorer"]}'
        stem.with_suffix('.csv').write_text(table, encoding='utf-8')
        _write_h5(table, stem.with_suffix('.h5'), most > 1)


def _is_config(path: Path) -> bool:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and sum(k in content for k in CONFIG_KEYS) >= 2


def _files_of(path: Path) -> tuple[Path, dict[str, Any], list[Path]]:
    """Root, config and tables of a project."""
    if path.suffix in TABLES:
        root = path.parent.parent.parent
        stated = root / 'config.yaml'
        return root, _load(stated) if _is_config(stated) else {}, [path]
    root = path if path.is_dir() else path.parent
    config = _load(path / 'config.yaml' if path.is_dir() else path)
    scorer = str(config.get('scorer') or '')
    files = []
    folders = sorted(p for p in (root / 'labeled-data').glob('*') if p.is_dir())
    for folder in folders:
        for name in (f'CollectedData_{scorer}', 'CollectedData_*'):
            tables = [
                p for ending in TABLES for p in sorted(folder.glob(name + ending))
            ]
            if tables:
                files.append(tables[0])
                break
    if not files:
        raise DataError(
            f'the DeepLabCut project {root} has no table labeled-data/*/'
            f'CollectedData_{scorer or "*"}.csv or .h5: label frames in '
            'DeepLabCut first'
        )
    return root, config, files


def _load(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    return content if isinstance(content, dict) else {}


def _read_table(path: Path) -> _Table:
    """Read a csv or h5 as text."""
    if path.suffix == '.h5':
        text = _h5_as_csv(path)
    else:
        text = path.read_text(encoding='utf-8-sig', errors='replace')
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    head = {row[0]: row for row in rows[:4]}
    coords = head.get('coords')
    if coords is None or 'bodyparts' not in head or 'x' not in coords:
        raise DataError(
            f'{path} must be a table of DeepLabCut, with rows scorer, bodyparts and '
            f'coords at its head, got {shortened(rows[0] if rows else "")}'
        )
    first = coords.index('x')
    individuals = head.get('individuals', [''] * len(coords))
    columns = zip(
        individuals[first:], head['bodyparts'][first:], coords[first:], strict=True
    )
    body = rows[rows.index(coords) + 1 :]
    # Newer tables give folder, video and file a column each; on Windows older ones
    # have backslashes.
    frames = [
        ('/'.join(filter(None, row[:first])).replace('\\', '/'), row[first:])
        for row in body
    ]
    if frames and all(key.isdecimal() for key, _ in frames):
        raise DataError(
            f'{path} has predictions for the frames of a video, not labels: name the '
            'folder of the project, whose labels are below labeled-data/'
        )
    return _Table(path, list(columns), frames)


def _h5_as_csv(path: Path) -> str:
    optional_module('tables', f'reading {path.name}')
    pandas = optional_module('pandas', f'reading {path.name}')
    try:
        table = pandas.read_hdf(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{path} cannot be read as a table of DeepLabCut: {error}; write its csv '
            'with deeplabcut.analyze_videos_converth5_to_csv'
        ) from error
    text: str = table.to_csv()
    return text


def _names(
    config: Mapping[str, Any], tables: Sequence[_Table]
) -> tuple[list[str], list[str]]:
    """Names of the keypoints in order, and the labeled body parts of no animal."""
    used: dict[str, None] = {}
    unique: dict[str, None] = {}
    for table in tables:
        for individual, part, _ in table.columns:
            (unique if individual == UNIQUE else used)[part] = None
    stated = config.get('multianimalbodyparts') or config.get('bodyparts')
    listed = [str(n) for n in stated] if isinstance(stated, list) else []
    names = [name for name in listed if name in used]
    return names + [name for name in used if name not in names], list(unique)


def _skeleton(
    config: Mapping[str, Any], names: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    links = []
    for link in config.get('skeleton') or ():
        ends = [str(end) for end in link] if isinstance(link, list) else []
        if len(ends) == 2 and all(end in names for end in ends):
            links.append((names.index(ends[0]), names.index(ends[1])))
    return tuple(links)


def _instances(
    columns: Sequence[tuple[str, str, str]], values: Sequence[str], names: Sequence[str]
) -> Iterator[LabeledInstance]:
    """Instances of a row, one for each individual with a labeled keypoint."""
    coordinates: dict[str, dict[str, dict[str, float]]] = {}
    for (individual, part, axis), value in zip(columns, values, strict=False):
        if individual != UNIQUE and axis in ('x', 'y'):
            number = _number(value)
            coordinates.setdefault(individual, {}).setdefault(part, {})[axis] = number
    for individual, parts in coordinates.items():
        points = {
            part: (xy.get('x', math.nan), xy.get('y', math.nan), VISIBLE)
            for part, xy in parts.items()
        }
        rows = keypoint_rows(points, names)
        if rows[:, 2].any():
            attributes = dict(individual=individual) if individual else {}
            yield LabeledInstance(rows, attributes=attributes)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _image_file(root: Path, table: Path, key: str, images: Path | None) -> Path:
    """Path of a frame: in the project, beside its table, or in a folder of images."""
    name = PurePosixPath(key)
    places = [root / key, table.parent / name.name]
    if images is not None:
        places = [
            images / key,
            images / name.parent.name / name.name,
            images / name.name,
        ]
    return next((place for place in places if place.is_file()), places[0])


def _key(file: Path) -> str:
    return f'{file.parent.name}/{file.name}'


def _config(project: Project, most: int, folder: Path) -> dict[str, Any]:
    several = most > 1
    names = list(project.keypoints)
    return dict(
        Task=project.category,
        scorer='mmdistill',
        date='Jan1',
        multianimalproject=several,
        project_path=str(folder.absolute()),
        video_sets={},
        bodyparts='MULTI!' if several else names,
        **(
            dict(
                individuals=[f'individual{n + 1}' for n in range(most)],
                uniquebodyparts=[],
                multianimalbodyparts=names,
            )
            if several
            else {}
        ),
        skeleton=[[names[a], names[b]] for a, b in project.skeleton],
        start=0,
        stop=1,
        numframes2pick=20,
        TrainingFraction=[0.95],
        iteration=0,
        default_net_type='resnet_50',
        default_augmenter='default',
        snapshotindex=-1,
        batch_size=8,
        cropping=False,
        dotsize=6,
        alphavalue=0.7,
        colormap='rainbow',
    )


def _table_text(
    project: Project,
    images: Sequence[tuple[str, LabeledImage]],
    video: str,
    config: Mapping[str, Any],
) -> str:
    """Text of the csv of a video."""
    individuals = config.get('individuals') or ['']
    columns = [
        (individual, name, axis)
        for individual in individuals
        for name in project.keypoints
        for axis in 'xy'
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['scorer', '', ''] + [config['scorer']] * len(columns))
    if len(individuals) > 1:
        writer.writerow(['individuals', '', ''] + [each[0] for each in columns])
    writer.writerow(['bodyparts', '', ''] + [each[1] for each in columns])
    writer.writerow(['coords', '', ''] + [each[2] for each in columns])
    for name, image in sorted(images, key=lambda pair: pair[0]):
        values = []
        for number in range(len(individuals)):
            instance = image.instances[number : number + 1]
            for row in range(len(project.keypoints)):
                point = instance[0].keypoints[row] if instance else (0.0, 0.0, 0.0)
                values += [repr(float(v)) if point[2] else '' for v in point[:2]]
        writer.writerow(['labeled-data', video, name, *values])
    return text.getvalue()


def _write_h5(table: str, path: Path, several: bool) -> None:
    """Write the same table as h5, which DeepLabCut trains and labels with."""
    optional_module('tables', 'writing a project of DeepLabCut')
    pandas = optional_module('pandas', 'writing a project of DeepLabCut')
    head = list(range(4 if several else 3))
    frame = pandas.read_csv(io.StringIO(table), header=head, index_col=[0, 1, 2])
    frame.index.names = [None, None, None]
    frame.to_hdf(path, key=H5_KEY, mode='w')
