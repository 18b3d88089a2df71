"""`ntklab.compile`: from a network to a kernel function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, overload

import jax
import numpy as np

from ntklab.engine._inputs import check_dtype
from ntklab.engine._kernel_fn import KernelFn
from ntklab.engine._sampled import SampledKernelFn, Sampling, sampled
from ntklab.engine._select import SAMPLED, select
from ntklab.errors import InputError
from ntklab.kernel import GET, Positions, lower, warn_of_coarse_quadrature
from ntklab.spec import Layer

DType = Literal["float32", "float64"] | np.dtype


@overload
def compile(
    network: Layer,
    input_shape: Sequence[int],
    *,
    engine: Literal["monte-carlo"],
    dtype: DType = ...,
    get: Sequence[str] = ...,
    sampling: Sampling,
) -> SampledKernelFn: ...
@overload
def compile(
    network: Layer | Mapping[str, Layer],
    input_shape: Sequence[int],
    *,
    engine: str = ...,
    dtype: DType = ...,
    get: Sequence[str] = ...,
    positions: Positions | None = ...,
) -> KernelFn: ...
def compile(
    network: Layer | Mapping[str, Layer],
    input_shape: Sequence[int],
    *,
    engine: str = "auto",
    dtype: DType = "float32",
    get: Sequence[str] = GET,
    positions: Positions | None = None,
    sampling: Sampling | None = None,
) -> KernelFn | SampledKernelFn:
    r"""Return the kernel function of a network whose width goes to infinity.

    .. math:: K(x, x') = E[f(x) f(x')], \quad
        \Theta(x, x') = E\Big[\sum_{\theta\ \text{trained}} \partial_\theta f(x)\, \partial_\theta f(x')\Big]

    Parameters
    ----------
    network : Layer or mapping of name to Layer
        A network, such as ``Serial(...)`` or ``zoo.cntk(11, "gap")``. Several networks under names are computed
        in one pass over what they share.
    input_shape : sequence of int
        Shape of one input, channels last: ``(d,)`` or ``(H, W, C)``.
    engine : str
        ``"auto"`` takes the fastest engine that supports the plan and records the choice in ``kfn.engine``; a
        named one runs or raises. ``"monte-carlo"``, never taken by ``"auto"``, samples networks of finite width: for
        layers without a closed form (BatchNorm, MaxPool, softmax attention over ``sqrt(d)``), or any other network.
    dtype : {"float32", "float64"}
        float32 is exact to about 1e-6, also where inputs coincide, and enough for images without a tiny ridge; so are
        dense networks where inputs are multiples of each other. Where patches of images are, the NTK is exact to
        about 1e-4 per ReLU (docs/maths.md), in float64 to 1e-8, which needs JAX's 64-bit mode.
    get : sequence of {"nngp", "ntk"}
        ``("nngp",)`` alone is about half the work of both.
    positions : {"equal", "all"}, optional
        For a network that ends with spatial axes ``P``, which has one output at every position: ``"equal"`` gives
        kernels ``(n1, n2, *P)``, ``"all"`` those of all pairs of positions, ``(n1, n2, *P, *P)``. For ``kfn(...)``
        and ``kfn.diagonal``; :func:`ntklab.gram` takes one number per pair of inputs.
    sampling : Sampling, for ``engine="monte-carlo"`` alone
        Key, width, and when to stop.

    Returns
    -------
    KernelFn, or with ``engine="monte-carlo"`` a :class:`SampledKernelFn`
        ``kfn(x1, x2)`` has ``.nngp`` and ``.ntk`` of shape ``(n1, n2)``; ``kfn(x1)`` is the symmetric case. Sampled
        kernels have ``.standard_errors``, too.

    Raises
    ------
    SpecError
        The network has no closed form for such inputs, or its shapes do not fit.
    EngineError
        The named engine cannot run it here.
    InputError
        An unknown engine, dtype, ``get`` or ``positions``, or float64 without JAX's 64-bit mode.

    Warns
    -----
    PrecisionWarning
        A function of the user, ``Elementwise(fn)``, is too rough for the quadrature.

    Notes
    -----
    Cost: ``kfn.plan.work`` counted steps per pair of inputs; linear in depth and in the number of pairs, and
    quadratic in the number of pixels once pooling is involved. Sources: Jacot et al. 2018 and Lee et al. 2018
    (dense), Arora et al. 2019, section 4 and appendix G (convolutional), Novak et al. 2019 (pooling).

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.spec import zoo
    >>> kfn = ntklab.compile(zoo.fc(3), input_shape=(2,))
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> np.asarray(kfn(x).ntk).round(4)
    array([[3.    , 0.6857],
           [0.6857, 3.    ]], dtype=float32)
    """
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise InputError(f'dtype is "float32" or "float64", got {dtype!r}.') from None
    check_dtype(dtype)
    if engine == SAMPLED:
        if positions is not None or sampling is None or not isinstance(network, Layer):
            raise InputError(
                'engine="monte-carlo" takes one network, without positions, and '
                "sampling=ntklab.Sampling(key=jax.random.key(0)), in which its width and the number of samples stand."
            )
        return sampled(network, input_shape, dtype, get, sampling)
    if sampling is not None:
        raise InputError(f'sampling is for engine="monte-carlo", which is asked for by name; got engine={engine!r}.')
    plan = lower(network, input_shape, get, positions)
    chosen, choice = select(engine, plan, jax.devices()[0], dtype)
    warn_of_coarse_quadrature(plan, dtype)
    networks = dict(network) if isinstance(network, Mapping) else {"": network}
    return KernelFn(networks, plan, choice, dtype, chosen)
