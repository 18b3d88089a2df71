"""Engines: one interface, several implementations, and the choice between them."""

from ntklab.engine._compile import compile as compile
from ntklab.engine._interface import Engine as Engine
from ntklab.engine._interface import Support as Support
from ntklab.engine._kernel_fn import Kernel as Kernel
from ntklab.engine._kernel_fn import KernelFn as KernelFn
from ntklab.engine._recipe import from_recipe as from_recipe
from ntklab.engine._recipe import recipe as recipe
from ntklab.engine._sampled import SampledKernel as SampledKernel
from ntklab.engine._sampled import SampledKernelFn as SampledKernelFn
from ntklab.engine._sampled import Sampling as Sampling
from ntklab.engine._select import ENGINES as ENGINES
from ntklab.engine._select import EngineChoice as EngineChoice
from ntklab.engine._select import select as select
