"""The options about masks, from the command line to the record of a run."""

from __future__ import annotations

from pathlib import Path

from calibrant.cli.reading import data_options
from calibrant.data.listing import Options
from calibrant.runs.command_line import tune_command

GIVEN = {"masks": "voc:my boxes", "on_bad_mask": "skip", "mask_grid": "upright"}


def test_what_is_given_is_recorded_and_can_be_given_again() -> None:
    assert data_options(**GIVEN) == GIVEN
    assert Options.from_mapping(GIVEN).given == GIVEN
    command = tune_command("tiny", "folder:a", GIVEN, {"data_seed": 1}, {}, Path("run"))
    assert "--masks 'voc:my boxes' --on-bad-mask skip --mask-grid upright" in str(command)
