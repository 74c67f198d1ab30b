"""ResNet-50, the first 5,000 labeled instances of COCO beside the rest of train2017.

    python tools/train.py configs/distill/coco/res50_5k_rest.py

The teacher `res50_5k.py` must have run; needs what it needs and detections of
people on train2017. The schedule may grow 12 times: with so few labels the
teacher's is short. Not trained here.
"""

_base_ = ['res50_5k.py', '../../_base_/coco_co-80.py']
work_dir = 'work_dirs/coco/res50_5k_rest'

distill = dict(
    teacher=dict(checkpoint='work_dirs/coco/res50_5k/epoch_210.pth'),
    unlabeled=dict(ann_file='annotations/splits/first-5000_unlabeled.json'),
    store='work_dirs/coco/res50_5k_rest/labels',
    schedule=dict(max_factor=12.0),
)
