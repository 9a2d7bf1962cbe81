"""Which version is installed."""

from importlib.metadata import version


def version_line() -> str:
    """Return what `slipway --version` prints."""
    return f"slipway {version('slipway-cli')}"
