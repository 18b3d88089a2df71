"""Layers that use the same weights at every step of a sequence. Notation: docs/notation.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ntklab.errors import SpecError
from ntklab.spec._composition import Activation
from ntklab.spec._layer import Misfit, Shape, Weighted, check_flag, check_number, check_width

Output = Literal["sequence", "last"]


@dataclass(frozen=True, repr=False)
class Recurrent(Weighted):
    r"""Simple recurrent layer over a sequence ``(L, C)``: one set of weights for all steps.

    .. math:: h_t = \phi(g_t), \quad g_t = W_{std} / \sqrt m\, W h_{t-1} + U_{std} / \sqrt n\, U x_t + b_{std}\, b,
              \quad h_0 = 0

    For steps :math:`t` of :math:`x` and :math:`s` of :math:`x'`, with :math:`\Sigma, \Theta` of the input,
    :math:`G` and :math:`\Gamma` of :math:`g`, and :math:`\kappa, \dot\kappa` the dual of :math:`\phi` and of its
    derivative,

    .. math:: G_{ts} = W_{std}^2 \kappa(G)_{t-1,s-1} + U_{std}^2 \Sigma_{ts} + b_{std}^2, \quad
              \Gamma_{ts} = W_{std}^2 \dot\kappa(G)_{t-1,s-1} \Gamma_{t-1,s-1} + U_{std}^2 \Theta_{ts} + [G_{ts}]

    and out come :math:`\Sigma' = \kappa(G)`, :math:`\Theta' = \dot\kappa(G)\, \Gamma`.

    Parameters
    ----------
    activation : Activation
        :math:`\phi`, such as ``Relu()``.
    width : int, optional
        Channels of the state in a *finite* network.
    W_std, U_std, b_std : float
        Standard deviations of the weights on the state, on the input, and of the bias (``None``: no bias).
    trainable : bool
        Whether gradient flow moves this layer.
    output : {"sequence", "last"}
        All states ``(L, width)``, for another Recurrent or for GlobalAvgPool; or the last one alone, ``(width,)``.

    Raises
    ------
    SpecError
        An argument out of range, or an input that is no sequence.

    Notes
    -----
    Cost: one dual per pair of steps for ``"sequence"`` with a pooling after it, one per step otherwise.

    References
    ----------
    Alemohammad, Wang, Balestriero, Baraniuk 2021, "The Recurrent Neural Tangent Kernel", with initial state zero.

    Examples
    --------
    >>> from ntklab.spec import Relu
    >>> Recurrent(Relu(), W_std=1.4, output="last")
    Recurrent(Relu(), W_std=1.4, output='last')
    """

    positional: ClassVar[str] = "activation"
    centred: ClassVar[bool] = False
    hidden: ClassVar[bool] = True
    activation: Activation
    width: int | None = None
    W_std: float = 1.0
    U_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    output: Output = "sequence"

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.activation, Activation):
            raise SpecError(f"Recurrent: activation is a layer such as Relu(), got {self.activation!r}.")
        check_width(self, "width")
        for name in ("W_std", "U_std"):
            check_number(self, name, 0.0)
        if self.b_std is not None:
            check_number(self, "b_std", 0.0)
        check_flag(self, "trainable")
        if self.output not in get_args(Output):
            raise SpecError(f"Recurrent: output is one of {', '.join(get_args(Output))}, got {self.output!r}.")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the sequence, or its last step, with its own channels."""
        if len(shape) != 2:
            raise Misfit("it needs a sequence (length, channels)")
        return (shape[0], self.width) if self.output == "sequence" else (self.width,)
