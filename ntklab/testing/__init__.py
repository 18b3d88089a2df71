"""Checks that ship with the package: comparisons that explain themselves, tolerances, cases, golden values."""

from ntklab.testing._cases import Agreement as Agreement
from ntklab.testing._cases import Case as Case
from ntklab.testing._cases import agreement as agreement
from ntklab.testing._cases import cntk_cases as cntk_cases
from ntklab.testing._cases import made_up_inputs as made_up_inputs
from ntklab.testing._cases import window_cases as window_cases
from ntklab.testing._compare import Difference as Difference
from ntklab.testing._compare import assert_close as assert_close
from ntklab.testing._compare import largest_difference as largest_difference
from ntklab.testing._golden import GoldenCase as GoldenCase
from ntklab.testing._golden import golden_cases as golden_cases
from ntklab.testing._tolerances import TOLERANCES as TOLERANCES
from ntklab.testing._tolerances import tolerance as tolerance
