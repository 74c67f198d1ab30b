"""Unlabeled for detectors: un-120, COCO's 123,403 images of unlabeled2017."""

_base_ = 'distill.py'

distill = dict(
    unlabeled=dict(
        data_root='data/coco/',
        data_prefix=dict(img='unlabeled2017/'),
        ann_file='annotations/image_info_unlabeled2017.json',
    ),
    # A sample has an image at all nine scales, each twice.
    labeling=dict(batch_size=2),
)
