"""COCO jsons in the form of labeling tools, three keypoints on images of 64 x 48.

Label Studio's was written by its own converter (label-studio-sdk 2.0.5), CVAT's by its
own Datumaro; the others repeat what the exporters of the tools write, key by key.
"""

from __future__ import annotations

from typing import Any

from tests.helpers.annotations import NAMES

POINTS = [16, 14, 2, 26, 10, 2, 32, 29, 1]


def coco_annotator() -> dict[str, Any]:
    """Shapes without an outline have no box and no area."""

    def annotation(number: int, **changes: Any) -> dict[str, Any]:
        base = dict(
            id=number,
            image_id=1,
            category_id=1,
            segmentation=[],
            area=0,
            bbox=[0, 0, 0, 0],
            iscrowd=False,
            isbbox=False,
            color='#533ef6',
            metadata={},
        )
        return {**base, **changes}

    outline = dict(
        segmentation=[[1, 1, 20, 1, 20, 20]], area=180, bbox=[1.0, 1.0, 19.0, 19.0]
    )
    return dict(
        images=[
            dict(
                id=number,
                dataset_id=1,
                category_ids=[],
                path=f'/datasets/mine/{number}.jpg',
                width=64,
                height=48,
                file_name=f'{number}.jpg',
                annotated=False,
                annotating=[],
                num_annotations=1,
                metadata={},
                deleted=False,
                milliseconds=0,
                events=[],
                regenerate_thumbnail=False,
                is_modified=False,
            )
            for number in (1, 2)
        ],
        categories=[
            dict(
                id=1,
                name='person',
                supercategory='',
                color='#f90660',
                metadata={},
                keypoint_colors=['#bf5c4d', '#d99100', '#4d8068'],
                keypoints=list(NAMES),
                skeleton=[[1, 2], [1, 3]],
            )
        ],
        annotations=[
            annotation(1, keypoints=POINTS, num_keypoints=3),
            annotation(2, image_id=2, keypoints=POINTS, num_keypoints=3, bbox=[]),
            annotation(3, **outline),
        ],
    )


def cvat() -> dict[str, Any]:
    """Two labels with skeletons of their own; boxes end at the outermost points."""

    def image(number: int, name: str) -> dict[str, Any]:
        return dict(
            id=number,
            width=64,
            height=48,
            file_name=name,
            license=0,
            flickr_url='',
            coco_url='',
            date_captured=0,
        )

    own = dict(occluded=False, rotation=0.0, track_id=0)
    return dict(
        licenses=[dict(name='', id=0, url='')],
        info=dict(
            contributor='', date_created='', description='', url='', version='', year=''
        ),
        categories=[
            dict(
                id=1,
                name='person',
                supercategory='',
                keypoints=list(NAMES),
                skeleton=[[1, 2], [1, 3]],
            ),
            dict(
                id=5,
                name='dog',
                supercategory='',
                keypoints=['snout', 'tail'],
                skeleton=[[1, 2]],
            ),
        ],
        images=[image(1, 'sub/1.jpg'), image(2, '2.jpg')],
        annotations=[
            dict(
                id=1,
                image_id=1,
                category_id=1,
                segmentation=[],
                area=304.0,
                bbox=[16.0, 10.0, 16.0, 19.0],
                iscrowd=0,
                attributes=dict(own, quality='good'),
                keypoints=POINTS,
                num_keypoints=3,
            ),
            dict(
                id=2,
                image_id=1,
                category_id=5,
                segmentation=[],
                area=10.0,
                bbox=[40.0, 40.0, 10.0, 1.0],
                iscrowd=0,
                attributes=own,
                keypoints=[40, 40, 2, 50, 41, 2],
                num_keypoints=2,
            ),
            dict(
                id=3,
                image_id=2,
                category_id=1,
                segmentation=[],
                area=304.0,
                bbox=[16.0, 10.0, 16.0, 19.0],
                iscrowd=0,
                attributes=own,
                keypoints=POINTS,
                num_keypoints=3,
            ),
        ],
    )


def label_studio(names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Boxes and points are annotations of their own; sizes are stated or not.

    Args:
        names: Names of the labels in their order; points are in that of model_index.
    """
    box = dict(segmentation=[], bbox=[6.4, 4.8, 32.0, 28.8], area=921.6)
    return dict(
        images=[
            dict(width=64, height=48, id=0, file_name='images/1.jpg'),
            dict(width=None, height=None, id=1, file_name='images/2.jpg'),
        ],
        categories=[
            dict(id=0, name='person'),
            dict(
                id=1,
                name='default',
                supercategory='default',
                keypoints=list(names),
                skeleton=[],
            ),
        ],
        annotations=[
            dict(id=0, image_id=0, category_id=0, ignore=0, iscrowd=0, **box),
            *(
                dict(
                    id=1 + image,
                    image_id=image,
                    category_id=1,
                    keypoints=[*POINTS[:-1], 2],
                    num_keypoints=3,
                    bbox=[16, 10, 16, 19],
                    iscrowd=0,
                )
                for image in (0, 1)
            ),
        ],
        info=dict(
            year=2024,
            version='1.0',
            description='',
            contributor='Label Studio',
            url='',
            date_created='2024-11-29 02:07:28.179472',
        ),
    )


def roboflow(names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Ids from 0, a first category that nothing belongs to, no num_keypoints.

    Args:
        names: Names of the keypoints.
    """
    return dict(
        info=dict(year='2024', version='1', description='Exported from roboflow.com'),
        licenses=[dict(id=1, url='', name='CC BY 4.0')],
        categories=[
            dict(id=0, name='people', supercategory='none'),
            dict(
                id=1,
                name='person',
                supercategory='people',
                keypoints=list(names),
                skeleton=[[1, 2]],
            ),
        ],
        images=[
            dict(
                id=number,
                license=1,
                file_name=f'{number}_jpg.rf.0a1b2c.jpg',
                height=48,
                width=64,
                date_captured='2024-01-01T00:00:00+00:00',
            )
            for number in (0, 1)
        ],
        annotations=[
            dict(
                id=number,
                image_id=number,
                category_id=1,
                bbox=box,
                area=area,
                segmentation=[],
                iscrowd=0,
                keypoints=POINTS,
            )
            for number, box, area in (
                (0, [10, 8, 30, 30.5], 915),
                (1, ['10', '8', '30', '30.5'], '915'),
            )
        ],
    )


def fiftyone() -> dict[str, Any]:
    """No box, no area, all points counted, ids and visibilities of its own."""
    base = dict(image_id=1, category_id=1, num_keypoints=3, iscrowd=0)
    flags = [16, 14, True, 26, 10, True, 32, 29, True]
    return dict(
        info=dict(year='', version='', contributor='', url='https://voxel51.com'),
        licenses=[],
        categories=[dict(id=1, name='person', supercategory=None)],
        images=[
            dict(
                id=number,
                file_name=f'{number}.jpg',
                height=48,
                width=64,
                license=None,
                coco_url=None,
            )
            for number in (1, 2)
        ],
        annotations=[
            dict(base, id='65f0c2aa7b', keypoints=POINTS, occluded=False, tags=[]),
            dict(base, id='65f0c2aa7c', image_id=2, keypoints=flags, score=0.9),
        ],
    )


TOOLS = dict(
    coco_annotator=coco_annotator,
    cvat=cvat,
    label_studio=label_studio,
    roboflow=roboflow,
    fiftyone=fiftyone,
)
"""Functions that make the json of each tool: two instances train, one an image."""
