import re

import numpy as np
import pytest

from mmdistill.reports.plots import KEPT
from mmdistill.reports.svg import SIZE, plot


def draw(axes):
    axes.plot([0, 1], [0, 1], 'o-', color=KEPT, label='line')
    axes.imshow(np.eye(3), extent=(0, 1, 0, 1))
    axes.set(xlabel='score <0.5> & "more"', ylabel='images')


@pytest.fixture(scope='module')
def svg():
    return plot('first', 'What it "shows" & more.', draw)


def test_it_is_one_element_with_a_role_and_a_description(svg, parse):
    (root,) = parse(svg).children
    assert root.tag == 'svg'
    assert root.attributes['role'] == 'img'
    assert root.attributes['aria-label'] == 'What it "shows" & more.'


def test_its_size_is_the_page_s(svg, parse):
    attributes = parse(svg).children[0].attributes
    assert 'width' not in attributes
    # HTML's parser knows no capitals in names; browsers put them back.
    view = [float(part) for part in attributes['viewbox'].split()]
    assert view == pytest.approx([0, 0, SIZE[0] * 72, SIZE[1] * 72])


def test_text_stays_text_and_is_escaped(svg, parse):
    texts = [element.text for element in parse(svg).all('text')]
    assert 'score <0.5> & "more"' in texts
    assert 'images' in texts


def test_colors_are_the_page_s(svg):
    assert 'var(--kept)' in svg
    assert 'currentColor' in svg
    assert KEPT not in svg
    assert '#000000' not in svg


def test_nothing_on_the_net_is_named_and_no_style_leaks(svg):
    assert 'http' not in svg
    assert '<style' not in svg
    assert '<metadata' not in svg


def test_identifiers_carry_the_plot_s_name(svg):
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids
    assert all(name.startswith('first-') for name in ids)
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) == set(ids)


def test_the_same_plot_gives_the_same_text(svg):
    assert plot('first', 'What it "shows" & more.', draw) == svg


def test_pictures_are_inside(svg, parse):
    (image,) = parse(svg).all('image')
    assert image.attributes['href'].startswith('data:image/png;base64,')
