"""Sizes of tiles; imports nothing, so that help pages can name them."""

DEFAULT_TILE_SIZE = 512
"""Side in pixels of the tiles that are tried first where a picture does not fit."""

MIN_TILE_SIZE = 128
"""Side in pixels below which tiles show too little of a picture."""
