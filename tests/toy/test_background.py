import numpy as np

from mmdistill.toy.background import draw_object, sample_background


def test_background_has_the_asked_size_and_texture():
    image = sample_background(np.random.default_rng(0), (96, 64))
    assert image.shape == (64, 96, 3)
    assert image.std() > 5


def test_objects_change_only_what_their_silhouette_covers():
    image = np.full((96, 96, 3), 128, np.uint8)
    silhouette = draw_object(np.random.default_rng(1), image)
    inside = silhouette > 0
    assert (image[inside] != 128).any()
    changed = (image != 128).any(2)
    # Anti-aliasing may tint a rim of one pixel.
    assert (changed & ~inside).sum() < inside.sum()
