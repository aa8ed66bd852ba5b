"""Who does the work: this process, worker processes of this machine, or a Dask cluster, behind one interface."""

from twintrack.compute.executors.base import Executor, Outcome, Total
from twintrack.compute.executors.cluster import DaskCluster
from twintrack.compute.executors.processes import Processes
from twintrack.compute.executors.results import each_result
from twintrack.compute.executors.serial import Serial

__all__ = ["DaskCluster", "Executor", "Outcome", "Processes", "Serial", "Total", "each_result"]
