"""Training: configurations, data sets, encoders, the loop, run folders.

To add a data set: a loader in ``data.LOADERS``.
"""

from analogep.training.configuration.config import TrainConfig, load_config
from analogep.training.data import DataSet, Part
from analogep.training.encoders import VoltageEncoder
from analogep.training.interrupt import Interrupted
from analogep.training.problem import Problem, build_problem
from analogep.training.trainer import EpochMetrics, Progress, Run, evaluate, predictions, train, train_problem

__all__ = [
    "DataSet",
    "EpochMetrics",
    "Interrupted",
    "Part",
    "Problem",
    "Progress",
    "Run",
    "TrainConfig",
    "VoltageEncoder",
    "build_problem",
    "evaluate",
    "load_config",
    "predictions",
    "train",
    "train_problem",
]
