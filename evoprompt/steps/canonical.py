"""Parents in the canonical style: a program without a body of one layer per line is written again.

In: programs that may become parents. Out: for each graph the source that prompts show, recorded, so
that a resumed search shows the same. What was written again is screened, and kept only if its graph
has the same hash; otherwise the program's own source is shown. The program stays what it is: the
new source is neither trained nor archived, and dropout, which no graph holds, is missing from it.
"""

from evoprompt.candidate import Rejected, Screened, candidate_id
from evoprompt.grammar.spec import parse
from evoprompt.grammar.view import body_lines, numbered, shown_lines
from evoprompt.ledger import Event, Json
from evoprompt.rewrite import rewrite
from evoprompt.state import Program
from evoprompt.steps.novelty import program_key
from evoprompt.steps.run import Run
from evoprompt.steps.screen import verdicts_on
from evoprompt.storage import write_atomically

BLOCK = 1_000_000
"""Indices that one call may use."""


def write_canonically(run: Run, generation: int, call: int, programs: list[Program]) -> None:
    """Write programs again that are not in the canonical style; each graph once in a run.

    Args:
        run: Knows what was written again before.
        generation: Under way.
        call: 0 for the archive's elites, after they were trained; before that the round's number.
        programs: Screened programs that may be shown from now on.
    """

    def make() -> list[Event]:
        written = {program.id: _written(run, program) for program in _foreign(run, programs)}
        sources = {candidate_id(text): text for text in written.values() if text is not None}
        verdicts = verdicts_on(run, sources, "canonical parents") if sources else {}
        events: list[Event] = []
        for candidate, text in written.items():
            verdict = None if text is None else verdicts[candidate_id(text)]
            payload = _kept(run, run.state.programs[candidate], text, verdict)
            index = call * BLOCK + len(events)
            events.append(Event(generation, "rewrite", index, "rewritten", payload))
        return events

    end = "choose" if call else "learn"
    run.batch(generation, "rewrite", call * BLOCK, BLOCK, make, ends_with=end)


def _foreign(run: Run, programs: list[Program]) -> list[Program]:
    """Return the programs in another style, of each graph one, if it is not known.

    A program with a body of layers is left as it is, even where the grammar cannot read all of it:
    written again, a library's layer that is not matched would fall apart into its operators.
    """
    found: dict[str, Program] = {}
    for program in programs:
        figures = program.screened
        if figures is None or figures.graph in run.state.rewritten or figures.graph in found:
            continue
        source, shape = run.source(program.id), run.shape
        is_layered = bool(body_lines(shown_lines(source) or []))
        if not is_layered and parse(source, shape.in_shape, shape.num_classes) is None:
            found[figures.graph] = program
    return list(found.values())


def _written(run: Run, program: Program) -> str | None:
    """Return the program in the canonical style; None if it has none or is in it already."""
    assert program.screened is not None
    graph = (run.folder / program.screened.graph_path).read_bytes()
    text = rewrite(graph, run.shape.in_shape, run.shape.num_classes)
    if text is None or numbered(text) is None:
        return None
    return None if program_key(text) == program_key(run.source(program.id)) else text


def _kept(
    run: Run, program: Program, text: str | None, verdict: Screened | Rejected | None
) -> Json:
    """Return the event's payload; a source that may be shown is stored under its id."""
    assert program.screened is not None
    graph = program.screened.graph
    payload: Json = {"candidate": program.id, "graph": graph, "source": None, "reason": None}
    if text is None:
        return payload | {"reason": "no other form"}
    if isinstance(verdict, Rejected):
        return payload | {"reason": str(verdict.reason)}
    if verdict is None or verdict.graph != graph:
        return payload | {"reason": "another graph"}
    write_atomically(run.source_path(candidate_id(text)), text.encode())
    return payload | {"source": candidate_id(text), "canonical": program_key(text)}
