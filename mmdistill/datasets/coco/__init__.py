"""Strict reading of COCO jsons with keypoints."""
