"""The lists: the rule of every kind of operation, and what every type of layer becomes."""

from __future__ import annotations

from ntklab import spec
from ntklab.kernel import _dual_quadrature as quadrature
from ntklab.kernel import _duals_kinked as kinked
from ntklab.kernel import _duals_polynomial as polynomial
from ntklab.kernel import _duals_smooth as smooth
from ntklab.kernel import _lower_inputs as inputs
from ntklab.kernel import _lower_linear as linear
from ntklab.kernel import _lower_weights as weights
from ntklab.kernel import _lowerings as lowerings
from ntklab.kernel import _lowerings_structure as structure
from ntklab.kernel._build import Lowering
from ntklab.kernel._dual_affine import AffineDual
from ntklab.kernel._functions import BY_QUADRATURE
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

_MODULES = (kinked, polynomial, quadrature, smooth)

DUALS: dict[type[Activation], Dual] = {
    **{
        found.of: found()
        for module in _MODULES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Dual) and found.of is not None and "of" in vars(found)
    },
    **{layer: quadrature.QuadratureDual(phi) for layer, phi in BY_QUADRATURE.items()},
}
"""The dual of every activation: the classes of these modules that say of which they are, and what has a function."""

BY_KIND: dict[str, Dual] = {layer.kind(): dual for layer, dual in DUALS.items()}
"""Kind of operation -> dual."""

DUALS[spec.Affine] = BY_KIND[spec.Affine.kind()] = AffineDual(BY_KIND)

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
    Recurrent.kind: Recurrent(BY_KIND),
    **{kind: ActivationRule(kind, dual) for kind, dual in BY_KIND.items()},
}
"""Kind of operation -> rule."""

LOWERINGS: dict[type[Layer], Lowering] = {
    spec.Aggregate: linear.aggregate,
    spec.AvgPool: linear.avg_pool,
    spec.BatchNorm: lowerings.sampled_only("it couples all inputs of a batch", "LayerNorm()"),
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
    spec.MaxPool: lowerings.sampled_only("a maximum of several Gaussians is none itself", "AvgPool(...)"),
    spec.Graph: inputs.graph,
    spec.Mask: inputs.mask,
    spec.Neighbours: inputs.neighbours,
    spec.Part: inputs.part,
    spec.SumPool: linear.sum_pool,
    spec.Concat: structure.concat,
    spec.GlobalSelfAttention: structure.attention,
    spec.Parallel: structure.add_branches,
    spec.Product: structure.product,
    spec.Recurrent: structure.recurrent(BY_KIND),
    spec.Residual: structure.add_branches,
    **dict.fromkeys(DUALS, lowerings.activation),
}
"""Type of layer -> what it becomes."""
