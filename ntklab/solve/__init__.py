"""Linear systems with a kernel matrix: ridges that name their scale, factors that report their quality.

Arrays in, arrays out; this folder knows no network. Everything runs on the host in float64, except the blocks of
:class:`ShardedOperator`.
"""

from ntklab.solve._direct import Factor as Factor
from ntklab.solve._direct import Precision as Precision
from ntklab.solve._direct import factorise as factorise
from ntklab.solve._gram import checked_gram as checked_gram
from ntklab.solve._nystrom import NystromError as NystromError
from ntklab.solve._nystrom import NystromRegression as NystromRegression
from ntklab.solve._nystrom import fit_nystrom as fit_nystrom
from ntklab.solve._nystrom import nystrom_error as nystrom_error
from ntklab.solve._nystrom import uniform_centres as uniform_centres
from ntklab.solve._operator import SymmetricOperator as SymmetricOperator
from ntklab.solve._operator_blocks import BlockOperator as BlockOperator
from ntklab.solve._operator_sharded import ShardedOperator as ShardedOperator
from ntklab.solve._path import Criterion as Criterion
from ntklab.solve._path import RidgePath as RidgePath
from ntklab.solve._path import ridge_path as ridge_path
from ntklab.solve._pcg import IterativeSolution as IterativeSolution
from ntklab.solve._pcg import conjugate_gradients as conjugate_gradients
from ntklab.solve._precondition import LowRank as LowRank
from ntklab.solve._precondition import gaussian_nystrom as gaussian_nystrom
from ntklab.solve._precondition import rpcholesky as rpcholesky
from ntklab.solve._refined import RefinedFactor as RefinedFactor
from ntklab.solve._residual import backward_error as backward_error
from ntklab.solve._ridge import Ridge as Ridge
from ntklab.solve._ridge import require_ridge as require_ridge
from ntklab.solve._ridged import RidgedSpectrum as RidgedSpectrum
from ntklab.solve._spectral import Spectrum as Spectrum
from ntklab.solve._spectral import eigendecompose as eigendecompose
from ntklab.solve._status import Status as Status
from ntklab.solve._system import System as System
