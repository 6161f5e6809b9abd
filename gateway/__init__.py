"""The executable room: command line, listeners, pipeline, store and workers, over the other rooms."""

from typing import Final

__all__ = ["CONFIGURATION", "__version__"]

__version__ = "0.1.0"

CONFIGURATION: Final = "gateway.toml"
"""The name that the settings file of a deployment has by default."""
