"""Thin adapters between ComfyUI's graph and the core; `comfy/` alone imports ComfyUI."""
