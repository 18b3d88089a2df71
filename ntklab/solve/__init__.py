"""Linear systems with a kernel matrix: ridges that name their scale, factors that report their quality.

Arrays in, arrays out; this folder knows no network. Everything runs on the host in float64.
"""

from ntklab.solve._direct import Factor as Factor
from ntklab.solve._direct import Precision as Precision
from ntklab.solve._direct import factorise as factorise
from ntklab.solve._gram import checked_gram as checked_gram
from ntklab.solve._path import Criterion as Criterion
from ntklab.solve._path import RidgePath as RidgePath
from ntklab.solve._path import ridge_path as ridge_path
from ntklab.solve._refined import RefinedFactor as RefinedFactor
from ntklab.solve._residual import backward_error as backward_error
from ntklab.solve._ridge import Ridge as Ridge
from ntklab.solve._ridge import require_ridge as require_ridge
from ntklab.solve._ridged import RidgedSpectrum as RidgedSpectrum
from ntklab.solve._spectral import Spectrum as Spectrum
from ntklab.solve._spectral import eigendecompose as eigendecompose
from ntklab.solve._status import Status as Status
from ntklab.solve._system import System as System
