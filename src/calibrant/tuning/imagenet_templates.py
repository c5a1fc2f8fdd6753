"""The class prompts that CLIP's authors wrote for ImageNet, by name."""

from __future__ import annotations

from typing import Literal

Templates = list[str] | Literal["imagenet_60", "imagenet_80"] | None


def templates_of(given: Templates) -> list[str] | None:
    """Look up a named list of class prompts.

    Args:
        given: ``"imagenet_80"`` for all prompts of Radford et al. (2021), ``"imagenet_60"`` for the first sixty (those
            that PromptSRC's released code averages), or prompts, or None.

    Returns:
        Class prompts with ``{}``; prompts and None as they are.

    Example:
        >>> len(templates_of("imagenet_60")), templates_of(["a {}."])
        (60, ['a {}.'])
    """
    if not isinstance(given, str):
        return given
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    written = [str(template("{}")) for template in OPENAI_IMAGENET_TEMPLATES]
    return written[:60] if given == "imagenet_60" else written
