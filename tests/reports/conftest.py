"""A page and its store, and the page taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mmdistill.reports.report import ReportOptions, write_report
from mmdistill.selection import Selection
from mmdistill.store import ImageRow, LabelStore

VOID = {'meta', 'link', 'img', 'br', 'wbr'}
SCORE_THR, KEYPOINT_THR = 0.5, 0.6
HOSTILE = '<script>alert("a&b")</script>.png'


@dataclass
class Element:
    """An element with all that is in it."""

    tag: str
    attributes: dict[str, str | None]
    children: list = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text, white space as a browser shows it."""
        parts = (c if isinstance(c, str) else c.text for c in self.children)
        return ' '.join(''.join(parts).split())

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements inside of it by tag and attributes; `cls` is the class."""
        wanted = {('class' if k == 'cls' else k): v for k, v in attributes.items()}
        inside = [c for c in self.children if isinstance(c, Element)]
        found = []
        for child in inside:
            if child.tag == tag and wanted.items() <= child.attributes.items():
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def cells(self) -> list[list[str]]:
        """Cells of a table's rows."""
        return [
            [c.text for c in row.children if isinstance(c, Element)]
            for row in self.all('tr')
        ]


class Parser(HTMLParser):
    """Builds elements; whatever is not nested as it should be fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element('page', {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        self.open[-1].children.append(data)


def taken_apart(text: str) -> Element:
    """The root of a page."""
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert len(parser.open) == 1
    return parser.open[0]


@dataclass
class Written:
    """A page, and what it was made of."""

    store: LabelStore
    selection: Selection
    rows: list[ImageRow]
    text: str
    root: Element


@pytest.fixture
def parse() -> Callable[[str], Element]:
    """Take a page apart."""
    return taken_apart


@pytest.fixture
def make_written(
    make_rows, make_store, make_selection, write_images
) -> Callable[..., Written]:
    """Write a store below a folder, and its page with galleries of two."""

    def make(folder: Path, **options) -> Written:
        rows = make_rows([2, 0, None, 5, 1, 3, None, 4])
        rows[2] = ImageRow(HOSTILE, 0, 0, 'failed', '<b>broken</b>', rows[2].candidates)
        write_images(folder / 'images', '000.png', '003.png', '005.png', '007.png')
        store = make_store(folder / 'labels', rows, img_root=folder / 'images')
        selection = make_selection(SCORE_THR, KEYPOINT_THR)
        selection.write(store)
        path = folder / 'report.html'
        write_report(store, path, ReportOptions(**{'num': 2, **options}))
        text = path.read_text(encoding='utf-8')
        return Written(store, selection, rows, text, taken_apart(text))

    return make


@pytest.fixture(scope='session')
def shelf() -> dict[str, Written]:
    """Pages that are written once."""
    return {}


@pytest.fixture
def written(shelf, make_written, tmp_path_factory) -> Written:
    """A page of a store with a selection; not to be changed."""
    if 'page' not in shelf:
        shelf['page'] = make_written(tmp_path_factory.mktemp('page'))
    return shelf['page']


@pytest.fixture
def again(tmp_path, parse):
    """Write another page of a store."""

    def write(store, **options):
        path = tmp_path / 'again.html'
        write_report(store, path, ReportOptions(**{'num': 0, **options}))
        return parse(path.read_text(encoding='utf-8'))

    return write
