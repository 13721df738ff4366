from evoprompt.candidate import Parent, TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.grammar.seeds import seeds
from evoprompt.propose.prompting import NEAREST, make_prompts, proposing
from evoprompt.propose.shown import Target, size
from evoprompt.propose.templates import load_templates

TASK = TaskShape("mnist1d", (1, 40), 10)
PARENT = Parent("a" * 64, seeds((1, 40), 10)["reference_cnn"], 0.9, 4096, 65536)


def asked_for(cells):
    """The sizes that fifty explorers ask for."""
    templates = load_templates()
    shares = dict.fromkeys(proposing(templates, 0.3), 0.0) | {"explore": 1.0}
    made = make_prompts(
        templates, lambda _: PARENT, TASK, 50, ProposerSettings(), 3, shares=shares,
        empty_cells=cells,
    )  # fmt: skip
    return {prompt.target for prompt, _ in made}


def test_an_explorer_asks_for_empty_cells_near_its_parent():
    near = [Target(2048, 65536), Target(8192, 65536), Target(4096, 16384), Target(1024, None)]
    far = [Target(2**power, 2**power) for power in (7, 19, 20)]
    assert len(near) == NEAREST
    assert asked_for(far + near) == {size(cell.parameters) for cell in near}


def test_a_far_cell_is_asked_for_where_there_are_no_nearer_ones():
    assert asked_for([Target(2**20, 2**20)]) == {"1m"}
