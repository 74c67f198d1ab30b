"""Unlabeled: un-120, COCO's 123,403 images of unlabeled2017."""

_base_ = 'distill.py'

distill = dict(
    # As the paper scales the image: not the crop, but the input that shows it.
    views=dict(scales=(1.0,), resolutions=_base_.distill.views.scales),
    unlabeled=dict(
        data_root='data/coco/',
        data_prefix=dict(img='unlabeled2017/'),
        ann_file='annotations/image_info_unlabeled2017.json',
        bbox_file='data/coco/person_detection_results/unlabeled2017.bbox.json',
        category_ids=(1,),
    ),
)
