"""Left and right keypoints, told by their names in whatever style they are written.

A name is one of a pair if the name with its side exchanged is there too: `left_eye`,
`LEye`, `l_ear`, `EarL`, `mouth-left`, `leftear`, `Left Ear`, `L1`, `paw_FL`. So a word
that happens to hold a side (`upright`, `cleft`) pairs with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

WORDS = (
    ('left', 'right'),
    ('lft', 'rgt'),
    ('lt', 'rt'),
    ('links', 'rechts'),
    ('gauche', 'droite'),
    ('izquierda', 'derecha'),
    ('izquierdo', 'derecho'),
    ('esquerda', 'direita'),
    ('sinistra', 'destra'),
    ('sx', 'dx'),
)
"""Words of the two sides."""
SHORT_WORD = 2
"""Letters up to which a word of a side must stand alone: `lt_eye`, not `altitude`."""
SHORT_CODE = 3
"""Letters up to which a word may be a code with a side in it: `FL`, `RF`, `HL1`."""

_PIECES = re.compile(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+')


def find_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Find the pairs of left and right keypoints by their names.

    Spellings are tried from the surest to the least: whole words of a side, words that
    hold one (`leftear`), a letter that stands alone (`l_ear`, `LEye`, `EarL`, `L1`), a
    letter in a short code (`FL`), and a first or last letter (`lear`). A keypoint that
    several others fit equally well stays without a partner.

    Args:
        names: Names of the keypoints, (K,), all different.

    Returns:
        Numbers of the left and of the right keypoint of each pair, ascending.

    >>> find_pairs(['nose', 'LEye', 'REye', 'mouth-left', 'mouth-right'])
    [(1, 2), (3, 4)]
    >>> find_pairs(['upright', 'tailbase', 'left_hand'])
    []
    """
    # `Left_eye` and `right_eye` are a pair; `l1` and `L1` are two keypoints.
    folded = [name.casefold() for name in names]
    key = str.casefold if len(set(folded)) == len(names) else str
    number_of = {key(name): number for number, name in enumerate(names)}
    free, pairs = set(range(len(names))), []
    for mirrored in SPELLINGS:
        partners = {
            number: {
                number_of[key(other)]
                for other, _ in mirrored(names[number])
                if number_of.get(key(other)) in free - {number}
            }
            for number in free
        }
        for number in sorted(free):
            for other in partners[number]:
                if partners[number] == {other} and partners[other] == {number}:
                    sides = mirrored(names[number])
                    other_name = key(names[other])
                    if any(left for m, left in sides if key(m) == other_name):
                        pairs.append((number, other))
        free -= {number for pair in pairs for number in pair}
    return sorted(pairs)


def lonely_sides(names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[int]:
    """List the keypoints whose name states a side and that have no partner.

    In a mirror image such a keypoint would be on the wrong side.

    Args:
        names: Names of the keypoints, (K,).
        pairs: Pairs of them, as `find_pairs` returns them.

    Returns:
        Their numbers, ascending.

    >>> lonely_sides(['nose', 'left_eye', 'L_ear', 'R_ear'], [(2, 3)])
    [1]
    """
    paired = {number for pair in pairs for number in pair}
    return [
        number
        for number, name in enumerate(names)
        if number not in paired and next(_sides(name), None)
    ]


def _sides(name: str) -> Iterator[tuple[str, bool]]:
    """Mirrored names by the spellings that no other word is mistaken for."""
    yield from _by_word(name)
    for index, piece in enumerate(pieces := _PIECES.findall(name)):
        if piece.casefold() in ('l', 'r') and len(pieces) > 1:
            yield _exchanged(pieces, index, _other_letter(piece)), piece in 'lL'


def _by_word(name: str) -> Iterator[tuple[str, bool]]:
    """Mirrored names where a piece is the word of a side, and whether it is the left.

    Yields:
        The name with the other side, and whether this one is the left.
    """
    pieces = _PIECES.findall(name)
    for index, piece in enumerate(pieces):
        for left, right in WORDS:
            for word, other in ((left, right), (right, left)):
                if piece.casefold() == word:
                    yield _exchanged(pieces, index, _cased(other, piece)), word == left


def _by_inner_word(name: str) -> Iterator[tuple[str, bool]]:
    """Mirrored names where the word of a side is part of another, as in `leftear`."""
    for left, right in WORDS:
        for word, other in ((left, right), (right, left)):
            if len(word) <= SHORT_WORD:
                continue
            for match in re.finditer(word, name, re.IGNORECASE):
                cased = _cased(other, match[0])
                mirror = name[: match.start()] + cased + name[match.end() :]
                yield mirror, word == left


def _by_letter(name: str) -> Iterator[tuple[str, bool]]:
    """Mirrored names where a letter stands alone, or before or after a capital."""
    pieces = _PIECES.findall(name)
    for index, piece in enumerate(pieces):
        if piece.casefold() in ('l', 'r'):
            yield _exchanged(pieces, index, _other_letter(piece)), piece in 'lL'
    # `LEye` falls into pieces as `L`, `Eye`; `lEye` as `l`, `Eye`; `LEAR` does not.
    for position in (0, len(name) - 1):
        letter = name[position : position + 1]
        rest = name[1:] if position == 0 else name[:-1]
        if letter in ('L', 'R') and rest and rest == rest.lower():
            yield _replaced(name, position), letter == 'L'


def _by_code(name: str) -> Iterator[tuple[str, bool]]:
    """Mirrored names where a short piece has a letter of a side, as `FL` and `RF`."""
    start = 0
    for piece in _PIECES.findall(name):
        if len(piece) <= SHORT_CODE and piece.isalpha():
            for offset, letter in enumerate(piece):
                if letter.casefold() in ('l', 'r'):
                    yield _replaced(name, start + offset), letter in 'lL'
        start += len(piece)


def _by_end(name: str) -> Iterator[tuple[str, bool]]:
    """Mirrored names where the first or last letter of a piece is a side: `lear`."""
    start = 0
    for piece in _PIECES.findall(name):
        for position in {start, start + len(piece) - 1}:
            if name[position].casefold() in ('l', 'r'):
                yield _replaced(name, position), name[position] in 'lL'
        start += len(piece)


SPELLINGS: tuple[Callable[[str], Iterator[tuple[str, bool]]], ...] = (
    *(_by_word, _by_inner_word),
    *(_by_letter, _by_code, _by_end),
)
"""Ways to write a side, the surest first."""


def _exchanged(pieces: Sequence[str], index: int, other: str) -> str:
    return ''.join([*pieces[:index], other, *pieces[index + 1 :]])


def _replaced(name: str, position: int) -> str:
    letter = _other_letter(name[position])
    return name[:position] + letter + name[position + 1 :]


def _other_letter(letter: str) -> str:
    return {'l': 'r', 'r': 'l', 'L': 'R', 'R': 'L'}[letter]


def _cased(word: str, like: str) -> str:
    """A word in the case of another."""
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
