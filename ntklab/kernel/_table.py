"""The lists: the rule of every kind of operation, and what every type of layer becomes."""

from __future__ import annotations

from ntklab import spec
from ntklab.kernel import _dual_quadrature as quadrature
from ntklab.kernel import _duals_kinked as kinked
from ntklab.kernel import _duals_smooth as smooth
from ntklab.kernel import _lower_inputs as inputs
from ntklab.kernel import _lower_linear as linear
from ntklab.kernel import _lower_weights as weights
from ntklab.kernel import _lowerings as lowerings
from ntklab.kernel import _lowerings_structure as structure
from ntklab.kernel._build import Lowering
from ntklab.kernel._rule import Rule
from ntklab.kernel._rule_activation import ActivationRule, Dual
from ntklab.kernel._rule_attention import LinearAttention, ProductAttention
from ntklab.kernel._rule_graph import Graph, Neighbours
from ntklab.kernel._rule_linear import Conv, Dense, Sum
from ntklab.kernel._rule_mask import Mask, Masked, MaskedPool
from ntklab.kernel._rule_normalisation import Dropout, LayerNorm
from ntklab.kernel._rule_pool import Flatten, Pool
from ntklab.kernel._rule_positions import Index, Mix
from ntklab.kernel._rule_recurrent import Recurrent
from ntklab.kernel._rule_structure import ConcatPositions, Product, Scale
from ntklab.kernel._rule_weights import Local, Weights
from ntklab.spec import Activation, Layer

DUALS: dict[type[Activation], tuple[str, Dual]] = {
    spec.ABRelu: ("abrelu", kinked.ABReluDual()),
    spec.Abs: ("abs", kinked.AbsDual()),
    spec.Cos: ("cos", smooth.CosDual()),
    spec.Erf: ("erf", smooth.ErfDual()),
    spec.Exp: ("exp", smooth.ExpDual()),
    spec.ExpNormalized: ("exp_normalized", kinked.ExpNormalizedDual()),
    spec.Gabor: ("gabor", smooth.GaborDual()),
    spec.Gaussian: ("gaussian", smooth.GaussianDual()),
    spec.Gelu: ("gelu", quadrature.GeluDual()),
    spec.Hermite: ("hermite", smooth.HermiteDual()),
    spec.LeakyRelu: ("leaky_relu", kinked.LeakyReluDual()),
    spec.Monomial: ("monomial", smooth.MonomialDual()),
    spec.Polynomial: ("polynomial", smooth.PolynomialDual()),
    spec.Rbf: ("rbf", smooth.RbfDual()),
    spec.RectifiedMonomial: ("rectified_monomial", kinked.RectifiedMonomialDual()),
    spec.Relu: ("relu", kinked.ReluDual()),
    spec.Sigmoid_like: ("sigmoid_like", smooth.SigmoidLikeDual()),
    spec.Sign: ("sign", kinked.SignDual()),
    spec.Sin: ("sin", smooth.SinDual()),
    spec.Elementwise: ("elementwise", quadrature.QuadratureDual(quadrature.FUNCTIONS["elementwise"])),
    spec.Elu: ("elu", quadrature.QuadratureDual(quadrature.FUNCTIONS["elu"])),
    spec.Selu: ("selu", quadrature.QuadratureDual(quadrature.FUNCTIONS["selu"])),
    spec.Sigmoid: ("sigmoid", quadrature.QuadratureDual(quadrature.FUNCTIONS["sigmoid"])),
    spec.Silu: ("silu", quadrature.QuadratureDual(quadrature.FUNCTIONS["silu"])),
    spec.Softplus: ("softplus", quadrature.QuadratureDual(quadrature.FUNCTIONS["softplus"])),
    spec.Tanh: ("tanh", quadrature.QuadratureDual(quadrature.FUNCTIONS["tanh"])),
}
"""Activation -> kind of operation, and its dual."""

_LINEAR = (
    Conv(),
    Dense(),
    Dropout(),
    Flatten(),
    Index(),
    LayerNorm(),
    Local(),
    Mix(),
    Pool(),
    Sum(),
    Weights(),
)

RULES: dict[str, Rule] = {
    **{rule.kind: rule for rule in _LINEAR},
    **{rule.kind: rule for rule in (ConcatPositions(), LinearAttention(), Product(), ProductAttention(), Scale())},
    **{rule.kind: rule for rule in (Graph(), Mask(), Masked(), MaskedPool(), Neighbours())},
    Recurrent.kind: Recurrent(dict(DUALS.values())),
    **{kind: ActivationRule(kind, dual) for kind, dual in DUALS.values()},
}
"""Kind of operation -> rule."""

LOWERINGS: dict[type[Layer], Lowering] = {
    spec.Aggregate: linear.aggregate,
    spec.AvgPool: linear.avg_pool,
    spec.Conv: weights.conv,
    spec.ConvLocal: weights.conv_local,
    spec.ConvTranspose: weights.conv_transpose,
    spec.Dense: weights.dense,
    spec.DotGeneral: linear.dot_general,
    spec.Dropout: linear.dropout,
    spec.Flatten: linear.flatten,
    spec.GlobalAvgPool: linear.global_avg_pool,
    spec.GlobalSumPool: linear.global_sum_pool,
    spec.Identity: linear.identity,
    spec.ImageResize: linear.resize,
    spec.Index: linear.index,
    spec.LayerNorm: linear.layer_norm,
    spec.Graph: inputs.graph,
    spec.Mask: inputs.mask,
    spec.Neighbours: inputs.neighbours,
    spec.Part: inputs.part,
    spec.SumPool: linear.sum_pool,
    spec.Concat: structure.concat,
    spec.GlobalSelfAttention: structure.attention,
    spec.Parallel: structure.add_branches,
    spec.Product: structure.product,
    spec.Recurrent: structure.recurrent(DUALS),
    spec.Residual: structure.add_branches,
    **{layer: lowerings.activation(kind) for layer, (kind, _) in DUALS.items()},
}
"""Type of layer -> what it becomes."""
