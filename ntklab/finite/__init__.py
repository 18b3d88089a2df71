"""Real networks of finite width from the same specs: the independent check of every kernel here."""

from ntklab.finite._empirical import empirical_nngp as empirical_nngp
from ntklab.finite._empirical import empirical_ntk as empirical_ntk
from ntklab.finite._network import DType as DType
from ntklab.finite._network import Network as Network
from ntklab.finite._network import Params as Params
from ntklab.finite._network import network as network
from ntklab.finite._training import train_flow as train_flow
from ntklab.finite._training import train_gd as train_gd
from ntklab.finite._trajectory import Trajectory as Trajectory
