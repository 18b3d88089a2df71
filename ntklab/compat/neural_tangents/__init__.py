"""Programs for neural-tangents, unchanged but for one import: ``import ntklab.compat.neural_tangents as nt``.

A translation: networks of stax layers become networks of :mod:`ntklab.spec`, their kernels run on our engines, and
predictions on our solvers. Nothing here computes. The guide is ``docs/guides/from-neural-tangents.md``.
"""

from ntklab.compat.neural_tangents import stax as stax
from ntklab.compat.neural_tangents._kernel import Kernel as Kernel
