"""COCO jsons of labeled sets, read with a strict eye."""
