"""Workers as jobs of Slurm, by dask-jobqueue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dask.config
from dask_jobqueue.slurm import SLURMCluster
from distributed import Client

from ntklab.errors import InputError


@contextmanager
def slurm_client(jobs: int) -> Iterator[Client]:
    """Keep so many jobs in the queue, one worker each, and start another when one reaches its time limit.

    Queue, account, cores, memory and the like come from Dask's configuration (``jobqueue.slurm``).
    """
    configured = dask.config.get("jobqueue.slurm.worker-extra-args", None) or []
    options = {"dashboard_address": None, **dask.config.get("jobqueue.slurm.scheduler-options", {})}
    missing = [name for name in ("cores", "memory") if dask.config.get(f"jobqueue.slurm.{name}", None) is None]
    if missing:
        raise InputError(
            f"Jobs of Slurm need {' and '.join(missing)}: name them (queue and walltime, too) under jobqueue: slurm "
            f"in ~/.config/dask/jobqueue.yaml, or in variables such as DASK_JOBQUEUE__SLURM__CORES=16."
        )
    cluster = SLURMCluster(
        processes=1,
        worker_extra_args=[*configured, "--nthreads", "1"],  # a tile uses all cores of its job
        scheduler_options=options,
    )
    with cluster, Client(cluster) as client:
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
        yield client
