"""What every room may use: safe numerics, precision, records and files, progress bars, canaries for a broken JAX."""

from ntklab._core._canaries import Check as Check
from ntklab._core._canaries import canaries as canaries
from ntklab._core._files import written_whole as written_whole
from ntklab._core._numerics import safe_sqrt as safe_sqrt
from ntklab._core._precision import precision_for as precision_for
from ntklab._core._progress import progress_bar as progress_bar
from ntklab._core._record import Record as Record
from ntklab._core._record import environment as environment
