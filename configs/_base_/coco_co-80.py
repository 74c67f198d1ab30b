"""Unlabeled: co-80, the part of COCO's train2017 that was train2014."""

_base_ = 'distill.py'

distill = dict(
    # As the paper scales the image: not the crop, but the input that shows it.
    views=dict(scales=(1.0,), resolutions=_base_.distill.views.scales),
    unlabeled=dict(
        data_root='data/coco/',
        data_prefix=dict(img='train2017/'),
        ann_file='annotations/splits/co-35_unlabeled.json',
        bbox_file='data/coco/person_detection_results/train2017.bbox.json',
        category_ids=(1,),
    ),
)
