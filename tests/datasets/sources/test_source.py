"""What sources have in common."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.datasets.image_reader import ImageReader
from mmdistill.datasets.sources import FolderSource, GlobSource, VideoSource


def test_names_come_from_paths(tmp_path):
    assert FolderSource(tmp_path, 'pile/v1.2/').name == 'v1.2'
    assert VideoSource(tmp_path, 'videos/m3v1.mp4').name == 'm3v1'
    assert GlobSource(tmp_path, 'c?/*.png').name == 'c?/*.png'
    assert GlobSource(tmp_path, 'c?/*.png', name='').name == ''


def test_files_are_not_written_out(tmp_path):
    with pytest.raises(NotImplementedError, match='images of FolderSource are files'):
        FolderSource(tmp_path).encoded('a.png', np.zeros(0), ImageReader())
