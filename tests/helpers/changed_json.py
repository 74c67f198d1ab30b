"""Json in which single values are others, or gone."""

from __future__ import annotations

import json
import random

OTHERS = (
    *(None, True, -1, 0, 3, 2.5, 1e308, float('nan'), float('inf'), 10**400),
    *('', 'text', '3', [], [1], ['a', None], [[1]], {}, {'a': 1}),
)


def leaves(content, path=()):
    """Paths of all values of a JSON, containers included."""
    if path:
        yield path
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    elif isinstance(content, list):
        for key, value in enumerate(content[:2]):
            yield from leaves(value, (*path, key))


def changed(content, path, value):
    """A JSON with another value somewhere, or without that entry."""
    content = json.loads(json.dumps(content))
    place = content
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


GONE = object()


def variants(content, seed, count=200):
    """Some of all changes of one value, the same on every run."""
    dice = random.Random(seed)
    places = list(leaves(content))
    for _ in range(count):
        yield changed(content, dice.choice(places), dice.choice([*OTHERS, GONE]))
