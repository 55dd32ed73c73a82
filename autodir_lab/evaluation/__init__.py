"""Measure what a model recognizes and restores: photographs -> samples -> sample results -> report."""
