"""What the tests of rationality share."""

from __future__ import annotations

import sys
from pathlib import Path

# models whose evidence is known stand in modules of their own
sys.path.insert(0, str(Path(__file__).parent))
