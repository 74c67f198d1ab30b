"""Configs by their path, the recipes that travel with the package among them."""

from __future__ import annotations

from pathlib import Path

from mmdistill.errors import UserError

PACKAGE = Path(__file__).parent
PLACES = (PACKAGE / '.mim', PACKAGE.parent)
"""What `configs/…` is below: in an installed wheel, in a clone."""


def recipe_file(path: str | Path, what: str = 'the config') -> Path:
    """A config file; where there is none, the recipe of that path.

    So `configs/distill/lspe/student.py` is found wherever a command is typed. A
    user's own file comes first.

    Args:
        path: The path as it was given.
        what: What it is, for the sentence.

    Raises:
        UserError: If there is neither.
    """
    given = Path(path)
    for found in (given, *(place / given for place in PLACES)):
        if found.is_file():
            return found
    raise UserError(
        f'{what} {path} does not exist, and mmdistill has no recipe of that path'
    )
