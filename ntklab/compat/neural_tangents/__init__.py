"""Programs for neural-tangents, unchanged but for one import: ``import ntklab.compat.neural_tangents as nt``.

A translation: networks of stax layers become networks of :mod:`ntklab.spec`, their kernels run on our engines,
predictions on our solvers, and finite functions in :mod:`ntklab.finite`. Nothing here computes. The guide is
``docs/guides/from-neural-tangents.md``.
"""

from ntklab.compat.neural_tangents import predict as predict
from ntklab.compat.neural_tangents import stax as stax
from ntklab.compat.neural_tangents._empirical import NtkImplementation as NtkImplementation
from ntklab.compat.neural_tangents._empirical import batch as batch
from ntklab.compat.neural_tangents._empirical import empirical_kernel_fn as empirical_kernel_fn
from ntklab.compat.neural_tangents._empirical import empirical_nngp_fn as empirical_nngp_fn
from ntklab.compat.neural_tangents._empirical import empirical_ntk_fn as empirical_ntk_fn
from ntklab.compat.neural_tangents._empirical import empirical_ntk_vp_fn as empirical_ntk_vp_fn
from ntklab.compat.neural_tangents._empirical import linearize as linearize
from ntklab.compat.neural_tangents._empirical import monte_carlo_kernel_fn as monte_carlo_kernel_fn
from ntklab.compat.neural_tangents._empirical import taylor_expand as taylor_expand
from ntklab.compat.neural_tangents._kernel import Kernel as Kernel
