"""The examples of docs/rationality.md run, and its table is what the code computes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from calibrant.rationality import centre_mass

PAGE = (Path(__file__).parents[2] / "docs" / "rationality.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)), {})
    assert (tmp_path / "right-reason.json").exists()
    assert "nan" not in capsys.readouterr().out


def test_the_table_of_the_centre() -> None:
    (row,) = re.findall(r"\| relevance mass of the centre \| (.*) \|", PAGE)
    place = (np.arange(224) + 0.5) / 224 - 0.5
    masks = np.stack([place[:, None] ** 2 + place**2 < area / np.pi for area in (0.2, 0.3, 0.4, 0.5)])
    assert row == " | ".join(f"{mass:.2f}" for mass in centre_mass(masks))
