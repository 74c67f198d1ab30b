"""The upper bound: the baseline's schedule with true labels on all 5,000 images.

    python tools/train.py configs/distill/lspe/upper_bound.py

The only config that reads the labels of the 4,400 unlabeled images.
"""

_base_ = 'baseline.py'
work_dir = 'work_dirs/lspe/upper_bound'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            _base_.train_dataloader.dataset,
            dict(
                type='CocoDataset',
                data_root=_base_.data_root,
                metainfo=_base_.dataset_info,
                ann_file='annotations/unlabeled_oracle.json',
                data_prefix=dict(img='images/'),
                pipeline=_base_.train_pipeline,
            ),
        ],
    )
)
