"""Networks as data: frozen layers that print, compare, hash and save; everything starts here."""

from ntklab.spec import zoo as zoo
from ntklab.spec._json import from_json as from_json
from ntklab.spec._json import stable_hash as stable_hash
from ntklab.spec._json import to_json as to_json
from ntklab.spec._layers import AvgPool as AvgPool
from ntklab.spec._layers import Conv as Conv
from ntklab.spec._layers import Dense as Dense
from ntklab.spec._layers import Flatten as Flatten
from ntklab.spec._layers import GlobalAvgPool as GlobalAvgPool
from ntklab.spec._layers import Identity as Identity
from ntklab.spec._layers import Layer as Layer
from ntklab.spec._layers import Padding as Padding
from ntklab.spec._layers import Parallel as Parallel
from ntklab.spec._layers import Relu as Relu
from ntklab.spec._layers import Residual as Residual
from ntklab.spec._layers import Serial as Serial
from ntklab.spec._layers import Shape as Shape
from ntklab.spec._shapes import Step as Step
from ntklab.spec._shapes import children as children
from ntklab.spec._shapes import infer_shapes as infer_shapes
from ntklab.spec._shapes import join as join
from ntklab.spec._shapes import output_shape as output_shape
from ntklab.spec._shapes import window_output_size as window_output_size
from ntklab.spec._shapes import window_padding as window_padding
