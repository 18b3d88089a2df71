"""neural-tangents' ``stax``: the same layers and combinators, on networks and engines of ours.

Every function returns ``(init_fn, apply_fn, kernel_fn)``. What is different is listed in
``docs/guides/from-neural-tangents.md``.

Examples
--------
>>> import numpy as np
>>> from ntklab.compat.neural_tangents import stax
>>> init_fn, apply_fn, kernel_fn = stax.serial(stax.Dense(512), stax.Relu(), stax.Dense(1))
>>> np.asarray(kernel_fn(np.eye(2), None, "ntk"), np.float32).round(4)
array([[0.5   , 0.0796],
       [0.0796, 0.5   ]], dtype=float32)
"""

from ntklab.compat.neural_tangents._attention import AttentionMechanism as AttentionMechanism
from ntklab.compat.neural_tangents._attention import GlobalSelfAttention as GlobalSelfAttention
from ntklab.compat.neural_tangents._attention import PositionalEmbedding as PositionalEmbedding
from ntklab.compat.neural_tangents._combinators import FanInConcat as FanInConcat
from ntklab.compat.neural_tangents._combinators import FanInProd as FanInProd
from ntklab.compat.neural_tangents._combinators import FanInSum as FanInSum
from ntklab.compat.neural_tangents._combinators import FanOut as FanOut
from ntklab.compat.neural_tangents._combinators import Identity as Identity
from ntklab.compat.neural_tangents._combinators import parallel as parallel
from ntklab.compat.neural_tangents._combinators import repeat as repeat
from ntklab.compat.neural_tangents._combinators import serial as serial
from ntklab.compat.neural_tangents._elementwise import ABRelu as ABRelu
from ntklab.compat.neural_tangents._elementwise import Abs as Abs
from ntklab.compat.neural_tangents._elementwise import Cos as Cos
from ntklab.compat.neural_tangents._elementwise import Elementwise as Elementwise
from ntklab.compat.neural_tangents._elementwise import ElementwiseNumerical as ElementwiseNumerical
from ntklab.compat.neural_tangents._elementwise import Erf as Erf
from ntklab.compat.neural_tangents._elementwise import Exp as Exp
from ntklab.compat.neural_tangents._elementwise import ExpNormalized as ExpNormalized
from ntklab.compat.neural_tangents._elementwise import Gabor as Gabor
from ntklab.compat.neural_tangents._elementwise import Gaussian as Gaussian
from ntklab.compat.neural_tangents._elementwise import Gelu as Gelu
from ntklab.compat.neural_tangents._elementwise import Hermite as Hermite
from ntklab.compat.neural_tangents._elementwise import LeakyRelu as LeakyRelu
from ntklab.compat.neural_tangents._elementwise import Monomial as Monomial
from ntklab.compat.neural_tangents._elementwise import Polynomial as Polynomial
from ntklab.compat.neural_tangents._elementwise import Rbf as Rbf
from ntklab.compat.neural_tangents._elementwise import RectifiedMonomial as RectifiedMonomial
from ntklab.compat.neural_tangents._elementwise import Relu as Relu
from ntklab.compat.neural_tangents._elementwise import Sigmoid_like as Sigmoid_like
from ntklab.compat.neural_tangents._elementwise import Sign as Sign
from ntklab.compat.neural_tangents._elementwise import Sin as Sin
from ntklab.compat.neural_tangents._own_layers import Bool as Bool
from ntklab.compat.neural_tangents._own_layers import Diagonal as Diagonal
from ntklab.compat.neural_tangents._own_layers import MaskedArray as MaskedArray
from ntklab.compat.neural_tangents._own_layers import layer as layer
from ntklab.compat.neural_tangents._own_layers import requires as requires
from ntklab.compat.neural_tangents._own_layers import supports_masking as supports_masking
from ntklab.compat.neural_tangents._own_layers import unmask_fn as unmask_fn
from ntklab.compat.neural_tangents._positions import Aggregate as Aggregate
from ntklab.compat.neural_tangents._positions import AggregateImplementation as AggregateImplementation
from ntklab.compat.neural_tangents._positions import DotGeneral as DotGeneral
from ntklab.compat.neural_tangents._positions import Dropout as Dropout
from ntklab.compat.neural_tangents._positions import ImageResize as ImageResize
from ntklab.compat.neural_tangents._positions import Index as Index
from ntklab.compat.neural_tangents._positions import LayerNorm as LayerNorm
from ntklab.compat.neural_tangents._positions import Slice as Slice
from ntklab.compat.neural_tangents._weights import AvgPool as AvgPool
from ntklab.compat.neural_tangents._weights import Conv as Conv
from ntklab.compat.neural_tangents._weights import ConvLocal as ConvLocal
from ntklab.compat.neural_tangents._weights import ConvTranspose as ConvTranspose
from ntklab.compat.neural_tangents._weights import Dense as Dense
from ntklab.compat.neural_tangents._weights import Flatten as Flatten
from ntklab.compat.neural_tangents._weights import GlobalAvgPool as GlobalAvgPool
from ntklab.compat.neural_tangents._weights import GlobalSumPool as GlobalSumPool
from ntklab.compat.neural_tangents._weights import Padding as Padding
from ntklab.compat.neural_tangents._weights import SumPool as SumPool
