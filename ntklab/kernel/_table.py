"""The lists: the rule of every kind of operation, and what every type of layer becomes."""

from __future__ import annotations

from ntklab import spec
from ntklab.kernel import _lowerings as lowerings
from ntklab.kernel import _lowerings_structure as structure
from ntklab.kernel._build import Lowering
from ntklab.kernel._relu import ReluDual
from ntklab.kernel._rule import Rule
from ntklab.kernel._rule_activation import ActivationRule, Dual
from ntklab.kernel._rule_attention import LinearAttention, ProductAttention
from ntklab.kernel._rule_linear import Conv, Dense, Sum
from ntklab.kernel._rule_pool import Flatten, Pool
from ntklab.kernel._rule_recurrent import Recurrent
from ntklab.kernel._rule_structure import ConcatPositions, Product, Scale
from ntklab.spec import Activation, Layer

DUALS: dict[type[Activation], tuple[str, Dual]] = {
    spec.Relu: ("relu", ReluDual()),
}
"""Activation -> kind of operation, and its dual."""

RULES: dict[str, Rule] = {
    **{rule.kind: rule for rule in (Conv(), Dense(), Flatten(), Pool(), Sum())},
    **{rule.kind: rule for rule in (ConcatPositions(), LinearAttention(), Product(), ProductAttention(), Scale())},
    Recurrent.kind: Recurrent(dict(DUALS.values())),
    **{kind: ActivationRule(kind, dual) for kind, dual in DUALS.values()},
}
"""Kind of operation -> rule."""

LOWERINGS: dict[type[Layer], Lowering] = {
    spec.AvgPool: lowerings.avg_pool,
    spec.Conv: lowerings.conv,
    spec.Dense: lowerings.dense,
    spec.Flatten: lowerings.flatten,
    spec.GlobalAvgPool: lowerings.global_avg_pool,
    spec.Identity: lowerings.identity,
    spec.Concat: structure.concat,
    spec.GlobalSelfAttention: structure.attention,
    spec.Parallel: structure.add_branches,
    spec.Product: structure.product,
    spec.Recurrent: structure.recurrent(DUALS),
    spec.Residual: structure.add_branches,
    **{layer: lowerings.activation(kind) for layer, (kind, _) in DUALS.items()},
}
"""Type of layer -> what it becomes."""
