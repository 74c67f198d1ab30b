"""A pseudo-random order of any number of items, without storing it.

A Feistel network is a keyed bijection on ``[0, 4^b)``; walking along its cycle
until the value falls below n makes it a bijection on ``[0, n)`` (Black and
Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). So any place of
an order over billions of items is known in constant time and memory.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 6
_MASK64 = (1 << 64) - 1


def permuted(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """Items at some positions of a pseudo-random order of `size` items.

    Args:
        positions: Positions in [0, size), any shape.
        size: Number of items.
        key: Names the order; every key gives another one.

    Returns:
        Items in [0, size), int64, the shape of `positions`. Over all positions
        each item comes exactly once.

    Raises:
        ValueError: If a position is outside [0, size).
    """
    positions = np.asarray(positions, dtype=np.int64)
    outside = (positions < 0) | (positions >= size)
    if outside.any():
        raise ValueError(
            f'positions must lie in [0, {size}), got {positions[outside][0]}'
        )
    half_bits = max(((size - 1).bit_length() + 1) // 2, 1)
    items = _feistel(positions.ravel().astype(np.uint64), half_bits, key)
    while (astray := items >= size).any():
        items[astray] = _feistel(items[astray], half_bits, key)
    return items.astype(np.int64).reshape(positions.shape)


def hash_key(*parts: int) -> int:
    """One 64-bit key of several numbers; their order matters."""
    key = 0
    for part in parts:
        key = int(_mix(np.array([(key + part) & _MASK64], dtype=np.uint64))[0])
    return key


def _feistel(values: np.ndarray, half_bits: int, key: int) -> np.ndarray:
    low_mask = np.uint64((1 << half_bits) - 1)
    shift = np.uint64(half_bits)
    left, right = values >> shift, values & low_mask
    for turn in range(ROUNDS):
        round_key = np.uint64(hash_key(key, turn))
        left, right = right, left ^ (_mix(right ^ round_key) & low_mask)
    return (left << shift) | right


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over='ignore'):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))
