"""A recipe in the hands of MMPose's own tools."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
RECIPE = REPOSITORY / 'configs/distill/coco/res50_co-115_un-120.py'
READ = f'from mmengine.config import Config; Config.fromfile({str(RECIPE)!r})'


@pytest.mark.parametrize(
    ('imports', 'warnings'), [('', 1), ('import mmdistill.registry; ', 0)]
)
def test_the_host_alone_says_what_it_will_not_do(imports, warnings):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', imports + READ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.count('no unlabeled image is labeled') == warnings
