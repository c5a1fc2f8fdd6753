"""Show examples of docstrings as code: griffe knows the heading "Examples:", where ours is "Example:"."""

from __future__ import annotations

from typing import Any

import griffe


class ShowExamples(griffe.Extension):
    """Reads the one heading as the other while the documentation is built."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
