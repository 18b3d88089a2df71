"""ntklab: exact kernels of infinitely wide neural networks, and what follows from them."""

from ntklab import spec as spec
from ntklab._version import __version__ as __version__
from ntklab.engine import Kernel as Kernel
from ntklab.engine import KernelFn as KernelFn
from ntklab.engine import SampledKernel as SampledKernel
from ntklab.engine import SampledKernelFn as SampledKernelFn
from ntklab.engine import Sampling as Sampling
from ntklab.engine import compile as compile
from ntklab.gram import gram as gram
from ntklab.gram import open_gram as open_gram
