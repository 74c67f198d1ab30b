"""Size of the images of noise that `write_images` writes, pixels."""

from __future__ import annotations

WIDTH, HEIGHT = 64, 48
