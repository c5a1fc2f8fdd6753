"""Check what `calibrant demo --json` printed and wrote: no table is empty, the report stands by itself."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

result = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
for title, rows in result["tables"].items():
    assert rows, f"the table '{title}' is empty"
    print(title, *(" ".join(map(str, row.values())) for row in rows), sep="\n  ")
page = Path(result["report"])
html = page.read_text(encoding="utf-8")
size = page.stat().st_size
assert size < 3e6, f"{page} has {size} bytes"
assert "<svg" in html, "the report has no figure"
tags = re.findall("<(?:script|img|link|iframe)[^>]*>", html)
loaded = [tag for tag in tags if re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", tag)]
assert not loaded, f"the report loads {loaded}"
print(f"{page.name}: {size / 1e6:.1f} MB")
