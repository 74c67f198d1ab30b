"""Textured backgrounds and the loose objects that occlude figures."""

from __future__ import annotations

import cv2
import numpy as np

from mmdistill.toy.canvas import Canvas


def sample_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a textured background with clutter, some of it limb-like.

    Args:
        rng: Random generator.
        size: Width and height in pixels.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    image = _cloud(rng, size)
    if rng.random() < 0.5:
        image = _wallpaper(rng, image)
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(1, 8)):
        draw_object(rng, image)
    return image


def draw_object(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Draw one random bar, ball or box in place.

    Args:
        rng: Random generator.
        image: (H, W, 3) uint8 BGR, changed in place.

    Returns:
        (H, W) uint8 silhouette, 255 on the object.
    """
    canvas = Canvas(image)
    height, width = image.shape[:2]
    center = rng.uniform(0, [width, height])
    color = rng.uniform(0, 255, 3)
    kind = rng.choice(['bar', 'ball', 'box'], p=[0.5, 0.2, 0.3])
    if kind == 'bar':
        reach = rng.normal(0, 0.12 * height, 2)
        thick = rng.uniform(1.5, 6)
        canvas.capsule(center - reach, center + reach, (thick, thick), color)
    elif kind == 'ball':
        canvas.disc(center, rng.uniform(4, 14), color)
    else:
        canvas.polygon(center + _box(rng), color)
    return canvas.silhouette


def _box(rng: np.random.Generator) -> np.ndarray:
    """Return the (4, 2) corners of a rotated rectangle about the origin."""
    half = rng.uniform(4, 22, 2)
    angle = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ axes


def _cloud(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Sum colored noise from coarse to fine grain: (height, width, 3) float64."""
    image = np.full((size[1], size[0], 3), rng.uniform(30, 220, 3))
    for cells in (2, 5, 12, 40):
        gray = rng.normal(0, rng.uniform(2, 14), (cells, cells, 1))
        noise = gray + rng.normal(0, rng.uniform(1, 8), (cells, cells, 3))
        image += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return image


def _wallpaper(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blend stripes or a grid of random direction and period into an image."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 40)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if rng.random() < 0.5:
        wave = wave * np.sin(
            (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period
        )
    if rng.random() < 0.5:
        wave = np.sign(wave)
    return image + wave[..., None] * rng.normal(0, 15, 3)
