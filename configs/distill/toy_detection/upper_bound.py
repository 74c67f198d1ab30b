"""Person detector of the drawn figures: true boxes on the unlabeled images, too.

    python tools/train.py configs/distill/toy_detection/upper_bound.py

The only config that reads the boxes of the 600 unlabeled images. Time: about 90 s of
CPU.
"""

_base_ = 'baseline.py'
work_dir = 'work_dirs/toy_detection/upper_bound'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            _base_.train_dataloader.dataset,
            dict(
                type='CocoDataset',
                data_root=_base_.data_root,
                metainfo=_base_.metainfo,
                ann_file='annotations/unlabeled_oracle.json',
                data_prefix=dict(img='images/unlabeled/'),
                filter_cfg=dict(filter_empty_gt=False, min_size=0),
                pipeline=_base_.train_pipeline,
            ),
        ],
    )
)
