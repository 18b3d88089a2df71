"""From kernel matrices to predictions: label codings, kernel regression, and gradient flow at time t."""

from ntklab.predict._calibration import Calibration as Calibration
from ntklab.predict._calibration import calibrate as calibrate
from ntklab.predict._choose import RidgeChoice as RidgeChoice
from ntklab.predict._choose import Validation as Validation
from ntklab.predict._choose import choose_ridge as choose_ridge
from ntklab.predict._dynamics import Descent as Descent
from ntklab.predict._dynamics import Dynamics as Dynamics
from ntklab.predict._dynamics import Flow as Flow
from ntklab.predict._dynamics import MomentumFlow as MomentumFlow
from ntklab.predict._ensemble import Ensemble as Ensemble
from ntklab.predict._ensemble import fit_ensemble as fit_ensemble
from ntklab.predict._fit_flow import FlowPrediction as FlowPrediction
from ntklab.predict._fit_flow import fit_flow as fit_flow
from ntklab.predict._fit_flow import gradient_flow as gradient_flow
from ntklab.predict._flow import GradientFlow as GradientFlow
from ntklab.predict._labels import Coding as Coding
from ntklab.predict._labels import accuracy as accuracy
from ntklab.predict._labels import decode as decode
from ntklab.predict._labels import encode as encode
from ntklab.predict._learning_rate import max_learning_rate as max_learning_rate
from ntklab.predict._loss_flow import LossFlow as LossFlow
from ntklab.predict._loss_flow import loss_flow as loss_flow
from ntklab.predict._regression import KernelRegression as KernelRegression
from ntklab.predict._regression import fit as fit
