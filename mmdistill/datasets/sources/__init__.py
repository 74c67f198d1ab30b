"""Sources of unlabeled images: folders, patterns, lists, COCO jsons, videos and tars.

A config lists one dict per source, in any combination:

    sources=[
        dict(type='FolderSource', path='unlabeled2017/', exclude=['*_mask.png']),
        dict(type='GlobSource', pattern='cameras/*/day?/*.jpg'),
        dict(type='ListSource', path='lists/gymnasts.txt'),
        dict(type='CocoSource', ann_file='annotations/images.json', path='images/'),
        dict(type='VideoSource', path='videos/*.mp4', every=5),
        dict(type='TarSource', path='shards/images-{000000..000099}.tar'),
    ]
"""

from mmdistill.datasets.sources.base import Listing, Source
from mmdistill.datasets.sources.file_sources import (
    CocoSource,
    FolderSource,
    GlobSource,
    ListSource,
)
from mmdistill.datasets.sources.tar_source import TarSource
from mmdistill.datasets.sources.video_source import VideoSource

__all__ = [
    'CocoSource',
    'FolderSource',
    'GlobSource',
    'ListSource',
    'Listing',
    'Source',
    'TarSource',
    'VideoSource',
]
