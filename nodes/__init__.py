"""Thin adapters between ComfyUI's graph and the core; `host` alone knows ComfyUI."""
