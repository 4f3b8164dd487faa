"""All attacks: importing this registers them."""

from . import compression, floods, frames, requests, states  # noqa: F401
