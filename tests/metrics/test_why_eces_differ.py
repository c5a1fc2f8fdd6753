"""The page "Why published ECEs differ" shows what its code prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "why-eces-differ.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def printed() -> list[str]:
    names: dict[str, object] = {}
    found = []
    for code, _ in STEPS:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, "docs/why-eces-differ.md", "exec"), names)
        found.append(output.getvalue())
    return found


def test_every_example_shows_what_it_prints() -> None:
    assert len(STEPS) == PAGE.count("```python") == 4


@pytest.mark.parametrize("step", range(4))
def test_the_numbers_are_those_that_the_code_prints(printed: list[str], step: int) -> None:
    assert printed[step] == STEPS[step][1]
