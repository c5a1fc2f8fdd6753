"""The numbers of stored predictions, as evaluation, reports and sweeps show them."""

from calibrant.measuring.one_model import about as about
from calibrant.measuring.one_model import measurable as measurable
from calibrant.measuring.one_model import measure as measure
