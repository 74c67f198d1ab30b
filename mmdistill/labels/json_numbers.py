"""Numbers of a store as JSON has them: short, and the same when read again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def shortest(values: np.ndarray) -> np.ndarray:
    """Numbers in float64 with the fewest digits that give each float32 back.

    Args:
        values: Numbers, of any shape, float32.
    """
    text = pa.array(np.ascontiguousarray(values).reshape(-1)).cast(pa.string())
    return text.cast(pa.float64()).to_numpy().reshape(values.shape)


def xywh(bboxes: np.ndarray) -> np.ndarray:
    """Boxes as COCO writes them: corner, width and height, (M, 4), float64.

    Corner and sides added up are the far corner to the last bit of float32.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4), float32.
    """
    corners = shortest(bboxes)
    # Eight decimals give the far corner back to the last bit.
    sides = (corners[:, 2:] - corners[:, :2]).round(8)
    return np.concatenate([corners[:, :2], sides], axis=1)
