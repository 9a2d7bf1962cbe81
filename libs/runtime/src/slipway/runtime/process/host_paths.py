"""Paths on a host as text: nothing is looked up there."""

from collections.abc import Iterable


def is_below(path: str, roots: Iterable[str]) -> bool:
    """Whether a normalised host path is one of these or below one of them."""
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
