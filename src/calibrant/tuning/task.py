"""What a model is tuned for: the class list and how its classes are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calibrant.errors import InputError


@dataclass(frozen=True)
class Task:
    """The tuned class list.

    Args:
        classes: C display names, all different.
        templates: class prompts with ``{}`` for the name.
        words: class name to synonyms whose text features are averaged; a class that is missing stands for
            itself.

    Raises:
        InputError: if there is no class or template, or a name comes twice.

    Example:
        >>> Task(["cat", "dog"], ["a photo of a {}."]).classes
        ['cat', 'dog']
    """

    classes: Sequence[str]
    templates: Sequence[str]
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", list(self.classes))
        object.__setattr__(self, "templates", list(self.templates))
        object.__setattr__(self, "words", {name: tuple(words) for name, words in self.words.items()})
        if not self.classes or not self.templates:
            raise InputError("tuning needs at least one class and one template")
        seen: set[str] = set()
        for name in self.classes:
            if name in seen:
                raise InputError(f"class '{name}' is there twice")
            seen.add(name)

    def synonyms(self, name: str) -> Sequence[str]:
        """Give the words that stand for a class."""
        return self.words.get(name, (name,))
