"""Layers that rescale what they get: by its own size, by that of a batch, or at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ntklab.errors import SpecError
from ntklab.spec._layer import Layer, Misfit, Shape, check_number

Mode = Literal["train", "test"]


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    r"""Subtract the mean and divide by the standard deviation, :math:`y = (x - m) / \sqrt{s^2 + \epsilon}`.

    Mean ``m`` and variance ``s^2`` are taken over the channels of each position, or of several positions together,
    of one input. In infinitely wide networks ``m`` is zero and ``s^2`` the mean variance of these positions.
    Without learnable scale and shift; a Dense or Conv behind it has both. Needs a Gaussian input.

    Parameters
    ----------
    axis : int or tuple of int
        Axes of one input, without the batch, taken together: ``-1`` (channels) and any spatial ones. Without the
        channels nothing converges, with the batch nothing is a function of two inputs.
    eps : float
        What keeps zeros from being divided by.

    Examples
    --------
    >>> LayerNorm(axis=(0, 1, -1))
    LayerNorm(axis=(0, 1, -1))
    """

    axis: int | tuple[int, ...] = (-1,)
    eps: float = 1e-12

    def __post_init__(self) -> None:
        """Check the arguments and write the axes out as a tuple."""
        axis = (self.axis,) if isinstance(self.axis, int) else self.axis
        if not isinstance(axis, tuple | list) or not all(isinstance(a, int) and not isinstance(a, bool) for a in axis):
            raise SpecError(f"LayerNorm: axis is an integer or a tuple of them, got {self.axis!r}.")
        object.__setattr__(self, "axis", tuple(axis))
        check_number(self, "eps", 0.0)

    def positions(self, ndim: int) -> tuple[int, ...]:
        """Return which of ``ndim`` spatial axes are taken together, or raise Misfit."""
        assert isinstance(self.axis, tuple)
        over = {a % (ndim + 1) for a in self.axis if -ndim - 1 <= a <= ndim}
        if len(over) != len(self.axis):
            raise Misfit(f"axis {self.axis} does not name different axes of its input, the last of which is channels")
        if ndim not in over:
            raise Misfit(f"axis {self.axis} leaves out the channels, axis -1, over which alone means converge")
        return tuple(sorted(over - {ndim}))

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        self.positions(len(shape) - 1)
        return shape


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    r"""Subtract a channel's mean over a whole batch and divide by its standard deviation there.

    .. math:: y_{ipc} = \frac{x_{ipc} - m_c}{\sqrt{s_c^2 + \epsilon}}, \quad
              m_c = \frac{1}{BP} \sum_{jq} x_{jqc}, \quad s_c^2 = \frac{1}{BP} \sum_{jq} (x_{jqc} - m_c)^2

    over the ``B`` inputs ``j`` of the batch and the ``P`` positions ``q`` of each. Without learnable scale and shift,
    as :class:`LayerNorm`; gradients pass through mean and deviation, as in training. There are no running statistics.

    **It couples inputs.** What a network makes of one input depends on all others of the batch, so that a kernel is no
    function of two inputs: each *batch* has one kernel matrix, and the same pair in another batch has another entry. At
    infinite width the channels are independent copies of one Gaussian vector :math:`h \sim N(0, \Sigma)` over inputs
    and positions of the batch, and :math:`\Sigma' = E[y(h)\, y(h)^T]`, of no closed form; ``y`` is not Gaussian. Exact
    engines refuse it, and ``ntklab.compile(..., engine="monte-carlo")`` samples it, ``kfn(x1, x2)`` with ``x1`` and
    ``x2`` together as one batch. For a regression compute one matrix of training and test inputs, and cut it.

    Gradients, and with them the NTK, grow exponentially with the number of BatchNorms in depth. Vectors in a batch of
    one are mapped to zero, in a batch of two to plus and minus one.

    Parameters
    ----------
    eps : float
        What keeps zeros from being divided by; 1e-5, as in PyTorch and Flax.

    Raises
    ------
    SpecError
        ``eps`` out of range; and when compiled for an exact engine.

    References
    ----------
    Ioffe, Szegedy 2015, "Batch normalization"; Yang et al. 2019, "A mean field theory of batch normalization".

    Examples
    --------
    >>> BatchNorm()
    BatchNorm()
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the argument."""
        check_number(self, "eps", 0.0)


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    r"""Keep each number with probability ``rate`` and divide it by that; the others become zero.

    Which ones are kept is drawn for each input, position and channel once: the same input always loses the same,
    as it must for its kernel with itself, :math:`\Sigma'_{pp} = \Sigma_{pp} / rate`, to be one number.

    Parameters
    ----------
    rate : float
        Probability to *keep* a number, above 0 and at most 1, as in neural-tangents.
    mode : {"train", "test"}
        ``"test"`` keeps everything.

    Examples
    --------
    >>> Dropout(0.8)
    Dropout(rate=0.8)
    """

    rate: float
    mode: Mode = "train"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_number(self, "rate", 0.0)
        if not 0.0 < self.rate <= 1.0:
            raise SpecError(f"Dropout: rate is the probability to keep a number, in (0, 1], got {self.rate!r}.")
        if self.mode not in get_args(Mode):
            raise SpecError(f"Dropout: mode is one of {', '.join(get_args(Mode))}, got {self.mode!r}.")
