"""Every error that ntklab raises on purpose, and its one warning; this module imports nothing.

Each message says what was given, what is needed and what to do. All errors derive from
:class:`NtklabError`, so one ``except`` catches them; bad arguments are also ``ValueError``.
"""


class NtklabError(Exception):
    """Base class of all errors that ntklab raises on purpose."""


class SpecError(NtklabError, ValueError):
    """A network description that has no meaning: bad layer arguments, or shapes that do not fit."""


class InputError(NtklabError, ValueError):
    """An array or option whose shape, dtype or value the called function cannot take."""


class DataError(NtklabError, ValueError):
    """A data file that is missing, truncated, mislabelled or not what it claims to be."""


class EngineError(NtklabError, RuntimeError):
    """The engine that was asked for by name cannot run this plan on this device."""


class SolveError(NtklabError, ArithmeticError):
    """A linear system or a training run that came to no result: singular, indefinite, diverged or not finite."""


class PrecisionWarning(UserWarning):
    """A matrix is stored too coarsely for the ridge asked for, or a function is too rough for the quadrature."""


class StoreError(NtklabError, RuntimeError):
    """A Gram store that is incomplete, damaged, cannot be read or written, or holds another computation."""


class MissingExtraError(NtklabError, ImportError):
    """An optional package is needed for this call and is not installed."""
