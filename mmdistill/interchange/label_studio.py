"""Label Studio's own JSON, read and written.

Its COCO export merges all instances of an image and numbers points by `model_index`;
its JSON has everything. Coordinates are percentages of the image. Keypoints belong to
the rectangle that they are nested in or related to, else to the only one around them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlparse

from mmdistill.datasets.coco.images import size_of_image
from mmdistill.errors import DataError, shortened
from mmdistill.functional.boxes import is_number
from mmdistill.interchange.project import (
    VISIBLE,
    LabeledImage,
    LabeledInstance,
    Project,
    check_files,
    keypoint_rows,
    relative_keys,
)
from mmdistill.utils.files import read_json, write_json

PREFIX = 9
"""Characters that Label Studio puts before the name of an uploaded file."""
PERCENT = 100

Regions = Sequence[Mapping[str, Any]]


def is_label_studio(content: Any) -> bool:
    """Whether a json is a list of tasks of Label Studio with images.

    Args:
        content: Content of the json.
    """
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) for task in content)
        and any('annotations' in task or 'completions' in task for task in content)
        and not any('video' in (task.get('meta') or {}) for task in content)
    )


def read_label_studio(
    path: Path, images: Path | None = None, skip_missing: bool = False
) -> Project:
    """Read labels of the JSON export of Label Studio.

    Of several annotations of a task the one marked as ground truth counts, else the
    last that was not skipped.

    Args:
        path: The json.
        images: Folder of the images, under their own names, those of the upload, or
            below the paths of the local storage.
        skip_missing: Whether images without a file are left out.

    Raises:
        DataError: If the json has no keypoints, or images are missing.
    """
    tasks = read_json(path, 'the tasks of Label Studio')
    if not is_label_studio(tasks):
        raise DataError(
            f'{path} must be a list of tasks with annotations, as Label Studio exports '
            f'it as JSON, got {shortened(tasks)}'
        )
    notes: Counter[str] = Counter()
    found = []
    names: dict[str, None] = {}
    for task in tasks:
        regions = _regions(task, notes)
        if regions is None:
            continue
        names.update(dict.fromkeys(_labels(regions, 'keypointlabels')))
        found.append((_image_file(task, regions, path, images), regions))
    if not names:
        raise DataError(
            f'{path} has no keypoints: label some with KeyPointLabels in Label Studio'
        )
    files = {str(file): file for file, _ in found}
    keys = relative_keys(list(files.values()))
    kept, note = check_files(f'the project {path}', files, skip_missing)
    for file, regions in found:
        _check_size(file, regions)
    labeled = [
        LabeledImage(
            keys[file],
            file,
            tuple(_instances(regions, list(names), notes)),
            video=file.parent.name,
        )
        for file, regions in found
        if str(file) in kept
    ]
    categories = Counter(one.category for i in labeled for one in i.instances)
    project = Project(
        tuple(names),
        tuple(labeled),
        category=next((c for c in categories if c), 'instance'),
    )
    order = 'keypoints are in the order in which they appear; --keypoints sets another'
    counted = [f'{count} {words}' for words, count in notes.items()]
    return project.with_notes(note, *counted, order)


def write_label_studio(
    project: Project, folder: Path, files: Mapping[str, Path]
) -> None:
    """Write labels as tasks of Label Studio, with the labeling config they need.

    The folder is the root of a local storage: Label Studio serves the images below it
    when it is started with ``LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`` and
    ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`` set to the folder.

    Args:
        project: The labels; sizes of its images must be known.
        folder: Folder for `tasks.json` and `labeling_config.xml`.
        files: File of each image by its key, below the folder.
    """
    tasks = []
    for number, image in enumerate(project.images, 1):
        name = files[image.key].relative_to(folder).as_posix()
        regions = list(_written_regions(project, image))
        tasks.append(
            dict(
                id=number,
                data=dict(image=f'/data/local-files/?d={quote(name)}'),
                annotations=[dict(result=regions, was_cancelled=False)],
            )
        )
    write_json(folder / 'tasks.json', tasks)
    labels = ''.join(
        f'\n    <Label value={_quoted(name)} model_index="{number}"/>'
        for number, name in enumerate(project.keypoints)
    )
    categories = ''.join(
        f'\n    <Label value={_quoted(c)}/>' for c in project.categories
    )
    config = (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="instance" toName="image">{categories}\n'
        '  </RectangleLabels>\n'
        f'  <KeyPointLabels name="keypoint" toName="image">{labels}\n'
        '  </KeyPointLabels>\n</View>\n'
    )
    (folder / 'labeling_config.xml').write_text(config, encoding='utf-8')


def _quoted(text: str) -> str:
    for char, entity in (('&', '&amp;'), ('<', '&lt;'), ('"', '&quot;')):
        text = text.replace(char, entity)
    return f'"{text}"'


def _regions(task: Mapping[str, Any], notes: Counter[str]) -> Regions | None:
    """Regions of the annotation of a task that counts; None if it has none."""
    listed = task.get('annotations') or task.get('completions') or []
    done = [one for one in listed if not one.get('was_cancelled')]
    if not done:
        notes['tasks without an annotation are left out'] += 1
        return None
    if len(done) > 1:
        notes['tasks have several annotations, of which one counts'] += 1
    truths = [one for one in done if one.get('ground_truth')]
    regions = (truths or done)[-1].get('result') or []
    if any(region.get('image_rotation') for region in regions):
        notes['tasks with a rotated image are left out'] += 1
        return None
    return [region for region in regions if isinstance(region, dict)]


def _labels(regions: Regions, kind: str) -> Iterator[str]:
    for region in regions:
        if region.get('type') == kind:
            yield from (region.get('value') or {}).get(kind) or []


def _image_file(
    task: Mapping[str, Any], regions: Regions, path: Path, images: Path | None
) -> Path:
    """Find the image of a task by its address."""
    data = task.get('data') or {}
    addresses = [v for v in data.values() if isinstance(v, str)]
    named = next((v for v in addresses if _suffix(v)), None)
    if named is None:
        raise DataError(
            f'task {task.get("id")} of {path} must have the address of an image in its '
            f'data, got {shortened(data)}'
        )
    parsed = urlparse(named)
    local = parse_qs(parsed.query).get('d')
    name = PurePosixPath(local[0] if local else unquote(parsed.path))
    own = [name.name]
    if name.parts[1:3] == ('data', 'upload') and name.name[8:9] == '-':
        own.append(name.name[PREFIX:])
    root = images or path.parent
    tails = [PurePosixPath(*name.parts[-n:]) for n in range(len(name.parts), 0, -1)]
    places = [root / str(tail).lstrip('/') for tail in tails]
    places += [root / other for other in own]
    if not images:
        places.append(Path(str(name)))
    return next((place for place in places if place.is_file()), root / own[-1])


def _check_size(file: Path, regions: Regions) -> None:
    """Make sure that an image has the size that was labeled, if it exists."""
    size = size_of_image(file)
    for region in regions:
        stated = region.get('original_width'), region.get('original_height')
        if size is not None and None not in stated and stated != size:
            raise DataError(
                f'{file} has {size[0]} x {size[1]} pixels, and was labeled in Label '
                f'Studio with {stated[0]} x {stated[1]}: name the folder of the images '
                'that were labeled with --images'
            )


def _suffix(address: str) -> bool:
    parsed = urlparse(address)
    path = (parse_qs(parsed.query).get('d') or [parsed.path])[0]
    return bool(PurePosixPath(path).suffix)


def _instances(
    regions: Regions, names: Sequence[str], notes: Counter[str]
) -> Iterator[LabeledInstance]:
    """Instances of an image, those with a rectangle first."""
    boxes = {str(r['id']): r for r in regions if r.get('type') == 'rectanglelabels'}
    owners = _owners(regions, boxes)
    points: dict[str, dict[str, tuple[float, float, int]]] = {}
    for region in regions:
        if region.get('type') != 'keypointlabels':
            continue
        value, owner = region.get('value') or {}, owners.get(region.get('id'), '')
        x, y = _pixels(region, value.get('x'), value.get('y'))
        for name in value.get('keypointlabels') or ():
            if name in points.setdefault(owner, {}):
                notes['keypoints labeled twice in one instance count once'] += 1
            points[owner][name] = (x, y, VISIBLE)
    for owner, region in boxes.items():
        value = region.get('value') or {}
        corner = _pixels(region, value.get('x'), value.get('y'))
        sides = _pixels(region, value.get('width'), value.get('height'))
        label = next(iter(value.get('rectanglelabels') or ()), '')
        rows = keypoint_rows(points.pop(owner, {}), names)
        if rows[:, 2].any():
            yield LabeledInstance(rows, (*corner, *sides), label)
    for rest in points.values():
        yield LabeledInstance(keypoint_rows(rest, names))


def _owners(regions: Regions, boxes: Mapping[str, Any]) -> dict[Any, str]:
    """Rectangle that each keypoint belongs to, by ids."""
    owners: dict[Any, str] = {}
    for region in regions:
        if region.get('type') == 'relation':
            ends = region.get('from_id'), region.get('to_id')
            for point, box in (ends, ends[::-1]):
                if box in boxes:
                    owners[point] = str(box)
    for region in regions:
        if region.get('parentID') in boxes:
            owners[region['id']] = region['parentID']
    for region in regions:
        if region.get('type') == 'keypointlabels' and region.get('id') not in owners:
            around = [key for key, box in boxes.items() if _holds(box, region)]
            if len(around) == 1:
                owners[region.get('id')] = around[0]
    return owners


def _holds(box: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    value, inner = box['value'], point['value']
    return all(
        value[low] <= inner[low] <= value[low] + value[side]
        for low, side in (('x', 'width'), ('y', 'height'))
    )


def _pixels(region: Mapping[str, Any], x: Any, y: Any) -> tuple[float, float]:
    """Convert percentages of an image to pixels."""
    width, height = region.get('original_width'), region.get('original_height')
    if not all(map(is_number, (x, y, width, height))):
        raise DataError(
            f'region {region.get("id")} of Label Studio must have x, y, original_width '
            f'and original_height, got {shortened(json.dumps(region))}'
        )
    return x / PERCENT * width, y / PERCENT * height


def _written_regions(project: Project, image: LabeledImage) -> Iterator[dict[str, Any]]:
    assert image.size is not None  # read with every image that is exported
    width, height = image.size
    base = dict(original_width=width, original_height=height, image_rotation=0)
    for number, instance in enumerate(image.instances):
        box = instance.bbox
        parent = f'instance-{number}'
        if box is not None:
            value = dict(
                x=box[0] / width * PERCENT,
                y=box[1] / height * PERCENT,
                width=box[2] / width * PERCENT,
                height=box[3] / height * PERCENT,
                rotation=0,
                rectanglelabels=[instance.category or project.category],
            )
            kind = dict(type='rectanglelabels', from_name='instance', to_name='image')
            yield dict(base, id=parent, value=value, **kind)
        for name, (x, y, visibility) in zip(
            project.keypoints, instance.keypoints.tolist(), strict=True
        ):
            if visibility:
                value = dict(
                    x=x / width * PERCENT,
                    y=y / height * PERCENT,
                    width=0.5,
                    keypointlabels=[name],
                )
                kind = dict(
                    type='keypointlabels', from_name='keypoint', to_name='image'
                )
                region = dict(base, id=f'{parent}-{name}', value=value, **kind)
                yield dict(region, parentID=parent) if box is not None else region
