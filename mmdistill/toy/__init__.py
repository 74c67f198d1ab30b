"""Toy pose data set: drawn figures with the 17 COCO keypoints."""

from __future__ import annotations

from mmdistill.toy.writer import write_toy_data

__all__ = ['write_toy_data']
