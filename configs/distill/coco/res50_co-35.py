"""ResNet-50 on co-35, the part of COCO's train2017 that was val2014: a teacher.

    python tools/train.py configs/distill/coco/res50_co-35.py

Needs COCO 2017 in data/coco and the splits of tools/make_splits.py. Not trained here.
"""

_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'
work_dir = 'work_dirs/coco/res50_co-35'
train_dataloader = dict(dataset=dict(ann_file='annotations/splits/co-35_labeled.json'))
