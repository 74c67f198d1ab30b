"""RTMDet-nano for people, which feeds top-down poses, taught by RTMDet-m.

    python tools/train.py configs/distill/detection/rtmdet-m_to_rtmdet-nano_person.py

The teacher knows COCO's 80 classes, of which people alone are labeled. A recipe of
poses names the student as its `distill.detector`. Needs COCO 2017 in data/coco. Not
trained here.
"""

_base_ = ['../../_base_/rtmdet-nano_person.py', '../../_base_/boxes_un-120.py']
work_dir = 'work_dirs/detection/rtmdet-m_to_rtmdet-nano_person'
checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_m_8xb32-300e_coco/rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth'
distill = dict(
    teacher=dict(
        checkpoint=checkpoint, config='mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py'
    ),
    store='work_dirs/detection/rtmdet-m_to_rtmdet-nano_person/labels',
)
