"""Defaults of a distillation; a recipe states `teacher`, `unlabeled` and `store`."""

import sys  # (a module that is no file: MMEngine takes other imports for its new style)

# Whoever reads this without mmdistill ignores the section below.
if 'mmdistill' not in sys.modules:
    sys.stderr.write(
        'warning: this config has a `distill` section, which nothing here reads: no '
        'unlabeled image is labeled, and unless the config states its mix, a training '
        'has the labeled set alone. Use tools/train.py of mmdistill, or give MMPose '
        'the config that its --write-config writes\n'
    )

distill = dict(
    # Views of each unlabeled image: the paper's nine scales (short side 400 to
    # 1200 pixels around 800), each also flipped.
    views=dict(
        scales=(0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5),
        flip=True,
        fusion='mean',
    ),
    # How the labeling runs; images in a batch, and in a chunk of the store. Whether
    # each box is looked at twice, the second time fitted around the pose found, with
    # the labeled set's margins; None: where each image is one box.
    labeling=dict(batch_size=16, num_workers=2, chunk_size=256, refit_boxes=None),
    # Which candidates become pseudo-labels, and which of their keypoints count.
    selection=dict(labeled_images='all', keypoint_thr=0.2),
    # Labeled samples in every batch, at least (or source_ratio, and num_batches of an
    # epoch), and what PseudoLabelDataset takes: pseudo_weight, score_thr and
    # keypoint_thr (instead of the selection's). A
    # train_dataloader that states its own mix of sources keeps it.
    mixing=dict(labeled_share=0.6),
    # How much longer than the base schedule the student trains: as much as its data
    # grow, at most this factor (the paper: 360,000 iterations after 130,000), with
    # the steps of the learning rate at these shares. None keeps the schedule.
    schedule=dict(max_factor=3.0, milestones=(0.7, 0.9)),
)
