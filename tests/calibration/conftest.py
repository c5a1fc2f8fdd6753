"""What the tests of calibrators share."""

import sys
from pathlib import Path

# test modules are imported by path, so their folder is not on the search path by itself
sys.path.append(str(Path(__file__).parent))
