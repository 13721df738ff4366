"""The list itself: wide, without repeats, and every net runs alike twice in plain torch."""

from collections import Counter

import torch

from tests.zoo.audio import AUDIO
from tests.zoo.containers import CONTAINERS
from tests.zoo.models import ZOO
from tests.zoo.text import TEXT
from tests.zoo.vision import VISION


def test_the_zoo_holds_more_than_forty_model_types_of_every_kind_and_the_containers() -> None:
    names = Counter(entry.name for entry in ZOO)
    assert max(names.values()) == 1
    assert len(VISION) + len(TEXT) + len(AUDIO) >= 120
    assert min(len(VISION), len(TEXT), len(AUDIO)) >= 15
    assert len(CONTAINERS) == 5


def test_a_net_is_built_the_same_twice_and_takes_any_batch() -> None:
    for entry in (VISION[0], TEXT[0], AUDIO[0], CONTAINERS[0]):
        first, second = entry.build(), entry.build()
        with torch.no_grad():
            for batch in (1, 3):
                out = first(*entry.inputs(batch))
                assert out.shape[0] == batch
                assert torch.equal(out, second(*entry.inputs(batch)))
