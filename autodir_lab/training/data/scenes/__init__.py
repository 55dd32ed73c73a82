"""Procedural pictures with the local statistics of photographs: occluding leaves, textures, light, depth of field.

Shapes are drawn as leaf numbers into an integer map at twice the size, then all pixels are shaded together from
per-leaf tables; this makes thousands of leaves affordable and gives anti-aliased edges.
"""
