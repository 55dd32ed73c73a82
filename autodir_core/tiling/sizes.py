"""Sizes of tiles in pixels; imports nothing, so that help pages can name them."""

WHOLE_PIXELS = 1024 * 1024
"""Pictures of no more pixels go through the networks whole where the memory holds them."""

MAX_TILE_SIZE = 1024
"""Side of a tile of the autoencoder and of the structure correction."""

MAX_DIFFUSION_TILE_SIZE = 768
"""Side of a tile of the diffusion, near what it was trained with; its attention grows with the square of the area."""

MIN_TILE_SIZE = 128
"""Side below which a tile shows too little of a picture."""

OVERLAP, DIFFUSION_OVERLAP, MIN_OVERLAP = 16, 8, 32
"""Neighboring tiles share one part in so many of a side, in the diffusion more, and so many pixels at least."""

STATISTICS_SIZE = 512
"""Side of the sample of a picture at most that norms over all of it are taken from."""
