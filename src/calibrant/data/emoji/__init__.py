"""The embedded benchmark: the same things drawn by independent designers, placed in procedural scenes."""

from calibrant.data.emoji.load import Emoji, describe, load, names

__all__ = ["Emoji", "describe", "load", "names"]
