"""Inline SVG of matplotlib figures, in the colors and type of the page."""

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
    # Text stays text: smaller, and in the font of the page.
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
"""Inches; about the width of a phone, so that text is as large as on the page."""

IMAGE_DPI = 150
DROPPED_ELEMENTS = ('metadata', 'style')
"""Elements that link to the network, or would style the whole page."""


def plot(
    name: str,
    description: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = SIZE,
) -> Markup:
    """Draw a plot as an inline SVG element.

    Args:
        name: Prefix of its identifiers, unique on the page.
        description: Text alternative for readers who cannot see it.
        draw: Function that draws on given axes.
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
        for child in [c for c in parent if _local_name(c.tag) in DROPPED_ELEMENTS]:
            parent.remove(child)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', document))
    for element in root.iter():
        element.tag = _local_name(element.tag)
        kept = {
            _local_name(key): _prefix_references(value, name)
            for key, value in element.attrib.items()
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


def _local_name(name: str) -> str:
    """Strip the namespace of a name: in HTML it is implied within svg."""
    return name.rpartition('}')[2]


def _prefix_references(value: str, name: str) -> str:
    """Prefix the references of an attribute, if any, with the name of the plot."""
    return re.sub(r'(^|url\()#(?=[A-Za-z]\w*\)?$)', rf'\1#{name}-', value)
