"""Pseudo-random permutations of any number of items, without storing them.

A Feistel network over rows and columns is a keyed bijection on ``[0, a * b)``;
walking along its cycle until the value falls below n makes it one on ``[0, n)``
(Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). With a and
b near the root of n, hardly a value has to walk. So the item at any position of an
order over billions of items is computed in constant time and memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ROUNDS = 6
"""Rounds of the Feistel network."""
_MASK64 = (1 << 64) - 1
"""Mask of 64 bits, for arithmetic on Python's integers."""


def permuted(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """Look up the items at some positions of a pseudo-random order of `size` items.

    Args:
        positions: Positions in [0, size), (...).
        size: Number of items.
        key: Key of the order; every key gives another one.

    Returns:
        Items in [0, size), int64, the shape of `positions`. Over all positions
        each item comes exactly once.

    Raises:
        ValueError: If a position is outside [0, size).

    >>> items = permuted(np.arange(5), size=5, key=7)
    >>> sorted(items.tolist())
    [0, 1, 2, 3, 4]
    >>> (permuted(np.array([3]), size=5, key=7) == items[3]).item()
    True
    """
    positions = np.asarray(positions, dtype=np.int64)
    outside = (positions < 0) | (positions >= size)
    if outside.any():
        raise ValueError(
            f'positions must lie in [0, {size}), got {positions[outside][0]}'
        )
    rows = math.isqrt(size - 1) + 1
    columns = -(-size // rows)
    keys = [np.uint64(hash_key(key, turn)) for turn in range(ROUNDS)]
    items = _feistel(positions.ravel().astype(np.uint64), rows, columns, keys)
    while (astray := items >= size).any():
        items[astray] = _feistel(items[astray], rows, columns, keys)
    return items.astype(np.int64).reshape(positions.shape)


def hash_key(*numbers: int) -> int:
    """Hash several integers, in their order, to one 64-bit key.

    Args:
        *numbers: The integers.

    >>> hash_key(0, 1) == hash_key(1, 0)
    False
    """
    key = 0
    for number in numbers:
        key = _mixed((key + number) & _MASK64)
    return key


def hash_keys(key: int, numbers: np.ndarray) -> np.ndarray:
    """Compute ``hash_key(key, number)`` of many numbers at once.

    Args:
        key: The first part.
        numbers: The second parts, at least 0, (...).

    Returns:
        Keys, uint64, the shape of `numbers`.

    >>> hash_keys(3, np.array([5])).tolist() == [hash_key(3, 5)]
    True
    """
    with np.errstate(over='ignore'):
        return _mix(np.uint64(hash_key(key)) + np.asarray(numbers).astype(np.uint64))


def _feistel(
    values: np.ndarray, rows: int, columns: int, keys: Sequence[np.uint64]
) -> np.ndarray:
    """Keyed bijection on ``[0, rows * columns)``; the number of keys is even."""
    sides = (np.uint64(rows), np.uint64(columns))
    left, right = np.divmod(values, sides[1])
    for turn, key in enumerate(keys):
        # One bit is dropped so that the sum cannot wrap, which is no bijection.
        moved = left + (_mix(right ^ key) >> np.uint64(1))
        left, right = right, moved % sides[turn % 2]
    return left * sides[1] + right


def _mix(values: np.ndarray) -> np.ndarray:
    """Finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _mixed(value: int) -> int:
    """`_mix` of one number, without the cost of an array."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)
