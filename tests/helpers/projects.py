"""Small projects of labeling tools, with images that differ pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml

NAMES = ('snout', 'leftear', 'rightear', 'tail')
"""Not in alphabetical order."""
SIZE = (64, 48)


def draw(path: Path, seed: int, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3))
    assert cv2.imwrite(str(path), pixels.astype(np.uint8))
    return path


def draw_points(seed: int, individuals: int = 1) -> np.ndarray:
    """Points (individuals, 4, 2) within the image; of each the third may be missing."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(5, 40, (individuals, len(NAMES), 2)).round(3)
    points[seed % 2 :: 2, 2] = np.nan
    return points


def deeplabcut_table(
    video: str, files: list[str], points: list[np.ndarray], individuals: list[str]
) -> pd.DataFrame:
    """Table as DeepLabCut makes it, with pandas.

    Args:
        video: Name of the folder.
        files: Names of its images.
        points: Points of each image, (individuals, K, 2).
        individuals: Names of the individuals; empty for a project of one animal.
    """
    levels = [['someone'], individuals, list(NAMES), ['x', 'y']]
    names = ['scorer', 'individuals', 'bodyparts', 'coords']
    if not individuals:
        levels.pop(1)
        names.pop(1)
    columns = pd.MultiIndex.from_product(levels, names=names)
    index = pd.MultiIndex.from_tuples([('labeled-data', video, f) for f in files])
    values = np.stack(points).reshape(len(files), -1)
    return pd.DataFrame(values, columns=columns, index=index)


def write_deeplabcut(
    root: Path,
    videos: dict[str, list[np.ndarray]],
    individuals: list[str] | None = None,
    endings: tuple[str, ...] = ('.csv', '.h5'),
    **config: Any,
) -> Path:
    """Write a project of DeepLabCut with an image for each of the points.

    Args:
        root: Its folder.
        videos: Points of the frames of each video, (individuals, K, 2).
        individuals: Names of the individuals of a project of several animals.
        endings: Kinds of tables.
        config: Further settings of its config.
    """
    parts = dict(bodyparts=list(NAMES))
    if individuals:
        parts = dict(bodyparts='MULTI!', multianimalbodyparts=list(NAMES))
    content = dict(
        Task='mouse',
        scorer='someone',
        multianimalproject=bool(individuals),
        video_sets={
            f'C:\\films\\{video}.avi': dict(crop='0, 9, 0, 9') for video in videos
        },
        skeleton=[['snout', 'leftear'], ['leftear', 'tail'], ['snout', 'nothing']],
        **parts,
        **config,
    )
    root.mkdir(parents=True, exist_ok=True)
    (root / 'config.yaml').write_text(yaml.safe_dump(content, sort_keys=False))
    for number, (video, points) in enumerate(videos.items()):
        folder = root / 'labeled-data' / video
        files = [f'img{n:03d}.png' for n in range(len(points))]
        for n, file in enumerate(files):
            draw(folder / file, 100 * number + n)
        table = deeplabcut_table(video, files, points, individuals or [])
        stem = folder / 'CollectedData_someone'
        if '.csv' in endings:
            table.to_csv(stem.with_suffix('.csv'))
        if '.h5' in endings:
            table.to_hdf(stem.with_suffix('.h5'), key='df_with_missing', mode='w')
    return root


def write_film(path: Path, frames: int, seed: int) -> Path:
    """Write a film of colored frames, each of another gray level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, SIZE)
    for number in range(frames):
        color = (20 * number + seed, 200 - 20 * number, 60 + seed)
        writer.write(np.full((*SIZE[::-1], 3), color, np.uint8))
    writer.release()
    return path


def label_studio_task(
    number: int, image: str, *regions: dict[str, Any]
) -> dict[str, Any]:
    """Task as Label Studio exports it."""
    return dict(
        id=number,
        annotations=[
            dict(
                id=number,
                completed_by=1,
                result=list(regions),
                was_cancelled=False,
                ground_truth=False,
                lead_time=3.0,
            )
        ],
        drafts=[],
        predictions=[],
        data=dict(img=image),
        meta={},
        project=3,
    )


def keypoint(
    region: str, name: str, x: float, y: float, parent: str | None = None
) -> dict[str, Any]:
    """Keypoint in Label Studio's percentages, from pixels."""
    value = dict(
        x=100 * x / SIZE[0], y=100 * y / SIZE[1], width=0.5, keypointlabels=[name]
    )
    content = dict(
        original_width=SIZE[0],
        original_height=SIZE[1],
        image_rotation=0,
        value=value,
        id=region,
        from_name='kp',
        to_name='img',
        type='keypointlabels',
        origin='manual',
    )
    return dict(content, parentID=parent) if parent else content


def rectangle(
    region: str, x: float, y: float, width: float, height: float, label: str = 'mouse'
) -> dict[str, Any]:
    """Rectangle in Label Studio's percentages, from pixels."""
    value = dict(
        x=100 * x / SIZE[0],
        y=100 * y / SIZE[1],
        width=100 * width / SIZE[0],
        height=100 * height / SIZE[1],
        rotation=0,
        rectanglelabels=[label],
    )
    return dict(
        original_width=SIZE[0],
        original_height=SIZE[1],
        image_rotation=0,
        value=value,
        id=region,
        from_name='box',
        to_name='img',
        type='rectanglelabels',
        origin='manual',
    )
