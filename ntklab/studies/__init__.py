"""Reproductions and experiments as functions that return a Record; printing and drawing is for report/."""

from ntklab.studies._bench import Rival as Rival
from ntklab.studies._bench import Workload as Workload
from ntklab.studies._bench import bench_gpu as bench_gpu
from ntklab.studies._bench import gpu_workloads as gpu_workloads
from ntklab.studies._cnn import cnn as cnn
from ntklab.studies._equivalence import Case as Case
from ntklab.studies._equivalence import equivalence as equivalence
from ntklab.studies._images import cifar10 as cifar10
from ntklab.studies._images import digits as digits
from ntklab.studies._lap import lap as lap
from ntklab.studies._lazy import ALPHAS as ALPHAS
from ntklab.studies._lazy import lazy as lazy
from ntklab.studies._myrtle import myrtle as myrtle
from ntklab.studies._published import Published as Published
from ntklab.studies._published import published_cifar2 as published_cifar2
from ntklab.studies._published import published_cifar10 as published_cifar10
from ntklab.studies._published import published_cnn as published_cnn
from ntklab.studies._small_data import small_data as small_data
from ntklab.studies._table import cifar10_table as cifar10_table
from ntklab.studies._uci import uci as uci
from ntklab.studies._verify import verify as verify
