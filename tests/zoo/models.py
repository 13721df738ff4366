"""The zoo: nets that nobody here wrote, with which the recorder is tried.

One entry per model type of transformers, in shrunken configurations with random weights, and
the containers of torch.nn. The list was committed before the recorder was tried on any of it; it is
frozen: an entry may be added, none is taken out for being hard.
"""

from tests.zoo.audio import AUDIO
from tests.zoo.containers import CONTAINERS
from tests.zoo.entry import Entry
from tests.zoo.text import TEXT
from tests.zoo.vision import VISION

ZOO: list[Entry] = [*VISION, *TEXT, *AUDIO, *CONTAINERS]
