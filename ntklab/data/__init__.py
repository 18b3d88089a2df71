"""Readers, subsets and preprocessing of images: NumPy arrays in, NumPy arrays out, no JAX.

:func:`load_cifar10` reads the standard public files from a directory that the user names,
:func:`load_digits` needs no file at all, and both return an :class:`ImageData`.
:func:`subset` draws a reproducible part of it; :func:`standardise` prepares its pixels.
"""

from ntklab.data._cifar import CifarKind as CifarKind
from ntklab.data._cifar import load_cifar10 as load_cifar10
from ntklab.data._digits import load_digits as load_digits
from ntklab.data._images import ImageData as ImageData
from ntklab.data._pack import pack_graphs as pack_graphs
from ntklab.data._pack import pack_inputs as pack_inputs
from ntklab.data._pack import pack_ragged as pack_ragged
from ntklab.data._patches import PatchFeatures as PatchFeatures
from ntklab.data._preprocess import Standardiser as Standardiser
from ntklab.data._preprocess import flatten_images as flatten_images
from ntklab.data._preprocess import standardise as standardise
from ntklab.data._preprocess import unit_norm as unit_norm
from ntklab.data._subset import subset as subset
from ntklab.data._uci import UciSet as UciSet
from ntklab.data._uci import load_uci as load_uci
from ntklab.data._uci import uci_sets as uci_sets
from ntklab.data._whitening import Whitener as Whitener
