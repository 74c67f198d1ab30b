"""Person detector of the drawn figures: labels alone; it is the teacher, too.

    python tools/train.py configs/distill/toy_detection/baseline.py

`toy/detector.py`, tested on val. Time: about 90 s of CPU.
"""

_base_ = '../toy/detector.py'
work_dir = 'work_dirs/toy_detection/baseline'
# As low as labels are counted from.
model = dict(test_cfg=dict(score_thr=0.05))

# The base looks for people on the unlabeled images; models are compared on val.
test_dataloader = dict(
    dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='images/val/'))
)
test_evaluator = dict(
    ann_file='data/toy/annotations/val.json', format_only=False, outfile_prefix=None
)
