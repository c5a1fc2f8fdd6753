"""Licence and limits of pretrained weights that open_clip can fetch, as far as known, not checked at the sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMITS = "web photographs with mostly English captions; not for decisions about people; check the licence at the source"

# by organisation on the Hugging Face hub, or by part of the tag where one organisation republishes several
_BY_TAG = (
    ("metaclip", "CC-BY-NC-4.0"),
    ("openai", "MIT"),
    ("laion", "MIT"),
    ("datacomp_", "MIT"),
    ("commonpool", "MIT"),
    ("merged2b", "MIT"),
    ("webli", "Apache-2.0"),
    ("meta", "Apache-2.0"),
    ("dfndr2b", "Apple ML research licence (research only)"),
)
_BY_ORGANISATION = {
    "apple": "Apple ML research licence (research only)",
    "UCSC-VLAA": "Apache-2.0",
    "visheratin": "CC-BY-NC-4.0",
    "jienengchen": "MIT",
    "laion": "MIT",
}


def about_pretrained(tag: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Tell where weights come from and on what terms.

    Args:
        tag: open_clip's tag.
        config: open_clip's entry of the tag.

    Returns:
        ``source``, ``licence`` and ``limits``.

    Example:
        >>> about_pretrained("openai", {"hf_hub": "timm/vit_base_patch32_clip_224.openai/"})["licence"]
        'MIT'
    """
    repository = str(config.get("hf_hub", "")).strip("/")
    organisation = repository.partition("/")[0]
    by_tag = next((licence for part, licence in _BY_TAG if tag.startswith(part)), None)
    licence = _BY_ORGANISATION.get(organisation) or by_tag or "not stated here: look at the source"
    source = f"https://huggingface.co/{repository}" if repository else str(config.get("url", ""))
    return {"source": source, "licence": licence, "limits": LIMITS}
