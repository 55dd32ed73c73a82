"""Files with faults: bytes changed, cut off, put in or left out, at random but the same for the same seed."""

from __future__ import annotations

import random

EDGES = (0, 1, 127, 128, 255)
"""Bytes that counters and signs break at."""


def mutate(content: bytes, rng: random.Random, head: int = 400) -> bytes:
    """Return a copy with one to sixteen faults, most of them among the first bytes, where formats keep their sizes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(min(len(data), rng.choice((40, head, 10**9))))
        fault = rng.random()
        if fault < 0.6:
            data[place] = rng.choice((*EDGES, rng.randrange(256)))
        elif fault < 0.75:
            del data[place + 1 :]
        elif fault < 0.9:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
        else:
            del data[place : place + rng.randrange(1, 9)]
        data = data or bytearray(b"x")
    return bytes(data)
