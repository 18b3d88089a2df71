"""ntklab: exact kernels of infinitely wide neural networks, and what follows from them."""

from ntklab._version import __version__ as __version__
