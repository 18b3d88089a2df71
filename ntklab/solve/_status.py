"""How far a solution can be trusted, as values rather than warnings."""

from enum import Enum

import numpy as np


class Status(Enum):
    """Quality of a factorisation; the value is a sentence for the reader.

    Examples
    --------
    >>> from ntklab.solve import Status
    >>> Status.OK.value
    'The system is well conditioned for float64.'
    """

    OK = "The system is well conditioned for float64."
    ILL_CONDITIONED = (
        "The system is ill-conditioned: its condition number exceeds 1 / sqrt(float64 eps) = 6.7e7, "
        "so a solution may have lost half of its digits."
    )
    FLOAT32_LIMITED = (
        "The kernel matrix came in float32 and its condition number exceeds 1 / (float32 eps) = 8.4e6, "
        "so the rounding of the kernel alone can change the solution completely; compute the kernel in "
        "float64 or use a ridge."
    )
    SINGULAR = (
        "The kernel matrix is singular to working precision: some eigenvalues are zero within rounding "
        "and were set to zero."
    )


def status_of(condition: float, input_dtype: np.dtype) -> Status:
    """Status of a nonsingular system from its condition number and the precision the matrix came in."""
    if condition * np.finfo(input_dtype).eps > 1:
        # A float64 matrix gets here only beyond 4.5e15, where "ill-conditioned" says it.
        return Status.FLOAT32_LIMITED if input_dtype == np.float32 else Status.ILL_CONDITIONED
    if condition > 1 / np.sqrt(np.finfo(np.float64).eps):
        return Status.ILL_CONDITIONED
    return Status.OK
