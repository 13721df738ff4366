"""From a program's source to trained weights and a measured accuracy.

`open_task` prepares a run's data; `Trainer` trains in jailed workers and measures the graph.
`compare` and `best` serve the end of a run.
"""

from evoprompt.train.tasks import TaskFiles, open_task
from evoprompt.train.trainer import Trainer

__all__ = ["TaskFiles", "Trainer", "open_task"]
