"""A distillation as in the paper; a recipe states `teacher`, `unlabeled`, `store`."""

import sys  # (a module that is no file: MMEngine takes other imports for its new style)

# Whoever reads this without mmdistill ignores the section below.
if 'mmdistill' not in sys.modules:
    sys.stderr.write(
        'warning: this config has a `distill` section, which nothing here reads: no '
        'unlabeled image is labeled, and unless the config states its mix, a training '
        'has the labeled set alone. Use tools/train.py of mmdistill, or give MMPose '
        'the config that its --write-config writes\n'
    )

# Every other default stands in the reference of configs/README.md.
distill = dict(
    # The paper's nine scales: short side 400 to 1200 pixels around 800.
    views=dict(scales=(0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5)),
    # The student trains longer: as much as its data grow, at most three times (the
    # paper: 360,000 iterations after 130,000). None keeps the schedule.
    schedule=dict(),
)
