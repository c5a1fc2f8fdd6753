"""``python -m calibrant`` is the command ``calibrant``."""

from __future__ import annotations

from calibrant.cli.main import app

if __name__ == "__main__":
    app(prog_name="calibrant")
