"""The run folder: what is in it, how it begins, goes on, and is replaced."""

from calibrant.runs.run import COMPLETE as COMPLETE
from calibrant.runs.run import Run as Run
