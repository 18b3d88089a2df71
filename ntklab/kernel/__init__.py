"""Closed-form kernels: dual activations, the Plan, and one rule per operation."""

from ntklab.kernel._loops import Loop as Loop
from ntklab.kernel._loops import find_loops as find_loops
from ntklab.kernel._lower import GET as GET
from ntklab.kernel._lower import Positions as Positions
from ntklab.kernel._lower import lower as lower
from ntklab.kernel._passes import image_pass as image_pass
from ntklab.kernel._passes import pair_pass as pair_pass
from ntklab.kernel._plan import Carry as Carry
from ntklab.kernel._plan import Op as Op
from ntklab.kernel._plan import Plan as Plan
from ntklab.kernel._plan import Window as Window
from ntklab.kernel._plan import later as later
from ntklab.kernel._quadrature_error import quadrature_error as quadrature_error
from ntklab.kernel._quadrature_error import warn_of_coarse_quadrature as warn_of_coarse_quadrature
from ntklab.kernel._relu import relu_dual as relu_dual
from ntklab.kernel._relu_tables import ANGLE_FAST as ANGLE_FAST
from ntklab.kernel._relu_tables import CURVE_FAST as CURVE_FAST
from ntklab.kernel._rule import Learned as Learned
from ntklab.kernel._rule import learned_number as learned_number
from ntklab.kernel._rule import learned_numbers as learned_numbers
from ntklab.kernel._table import RULES as RULES
from ntklab.kernel._values import ImageValue as ImageValue
from ntklab.kernel._values import PairValue as PairValue
