"""A matplotlib figure as SVG that stands in a page and takes on its colors."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdistill.reports.plots import KEPT, LABELED, REJECTED

STYLE = {
    # Text stays text: small, and in the page's own type.
    'svg.fonttype': 'none',
    'svg.hashsalt': 'mmdistill',
    'font.size': 9,
    'axes.titlesize': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.linewidth': 0.6,
    'lines.linewidth': 1.4,
}
COLORS = {
    '#000000': 'currentColor',
    '#ffffff': 'var(--paper)',
    KEPT: 'var(--kept)',
    REJECTED: 'var(--rejected)',
    LABELED: 'var(--labeled)',
}
SIZE = (4.4, 2.8)
"""Inches; about the width of a phone, so that the text is as large as the page's."""

IMAGE_DPI = 150
DROPPED = ('metadata', 'style')
"""Elements that name places on the net, or would style the whole page."""


def plot(
    name: str,
    description: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = SIZE,
) -> Markup:
    """Draw a plot as an inline SVG element.

    Args:
        name: Sets its identifiers apart from those of the page's other plots.
        description: What a reader is told who cannot see it.
        draw: Draws on the axes it is given.
        size: Width and height, inches.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(size, layout='constrained')
        draw(figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format='svg', transparent=True, dpi=IMAGE_DPI)
    return Markup(_inline(file.getvalue(), name, description))


def _inline(document: str, name: str, description: str) -> str:
    root = ElementTree.fromstring(document)
    for parent in list(root.iter()):
        for child in [c for c in parent if _bare(c.tag) in DROPPED]:
            parent.remove(child)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', document))
    for element in root.iter():
        element.tag = _bare(element.tag)
        kept = {
            _bare(key): _renamed(value, name) for key, value in element.attrib.items()
        }
        if element.get('id') in used:
            kept['id'] = f'{name}-{element.get("id")}'
        else:
            kept.pop('id', None)
        element.attrib.clear()
        element.attrib.update(kept)
    for key in ('width', 'height', 'version'):
        root.attrib.pop(key)
    root.attrib.update({'role': 'img', 'aria-label': description})
    text = ElementTree.tostring(root, encoding='unicode', method='html')
    colors = re.compile('|'.join(COLORS))
    return re.sub(r'\n\s*', '\n', colors.sub(lambda m: COLORS[m[0]], text))


def _bare(name: str) -> str:
    """A name without its namespace: HTML gives it to what is inside of svg."""
    return name.rpartition('}')[2]


def _renamed(value: str, name: str) -> str:
    """An attribute whose references, if any, carry the plot's name."""
    return re.sub(r'(^|url\()#(?=[A-Za-z]\w*\)?$)', rf'\1#{name}-', value)
