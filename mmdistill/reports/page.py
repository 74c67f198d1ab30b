"""The page: a template, and how numbers read in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

TEMPLATE = 'report.html.jinja'


def render_page(content: Mapping[str, Any]) -> str:
    """Fill the template; everything that is not markup is escaped.

    Args:
        content: What its names stand for.
    """
    environment = Environment(
        loader=PackageLoader('mmdistill.reports'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number='{:,}'.format, decimals=decimals, percent='{:.1%}'.format
    )
    return environment.get_template(TEMPLATE).render(content)


def decimals(value: float, places: int = 3) -> str:
    """A number with as many decimals; a dash where there is none."""
    return '–' if math.isnan(value) else f'{value:,.{places}f}'
