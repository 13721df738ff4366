"""What a version of the proposer writes for some prompts: how much is valid, new, and inherited.

In: a run, prompts with their samplings, and the version to ask. Out: its figures for the gate, and
the screen's verdicts, which are all that enters the run. Each version starts from the same set of
known graphs, so what one wrote does not make the other's replies known.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from evoprompt.candidate import Prompt, Rejected, Reply, Sampling, Screened, candidate_id
from evoprompt.grammar.view import shown_lines
from evoprompt.learn import gate
from evoprompt.learn.heredity import margin, mean
from evoprompt.propose.reply import read_reply
from evoprompt.steps.propose import prompts_for
from evoprompt.steps.run import Run
from evoprompt.steps.screen import verdicts_on


@dataclass
class Questions:
    """Prompts that versions are compared by, and what the screen said of the answers so far."""

    asked: list[tuple[Prompt, Sampling]]
    verdicts: dict[str, Screened | Rejected] = field(default_factory=dict[str, Screened | Rejected])
    """Of programs that the run does not know."""
    token_count: int = 0
    """Written by all versions together."""
    prompt_tokens: int = 0
    """Read by them."""


def questions(run: Run, count: int, seed: int, besides: set[str]) -> Questions:
    """At most `count` prompts that the proposer was not tuned on, with the settings' samples.

    Args:
        run: Its archive gives the parents.
        count: Prompts wanted.
        seed: Decides which.
        besides: Texts of prompts that are not taken.
    """
    if not count:
        return Questions([])
    prompts, samplings = prompts_for(run, 0, 2 * count, seed)
    found = {
        prompt.text: (prompt, replace(sampling, count=run.settings.learn.gate_samples))
        for prompt, sampling in zip(prompts, samplings, strict=True)
        if prompt.text not in besides
    }
    return Questions([*found.values()][:count])


def answers(run: Run, told: Questions, version: str, adapter: Path | None) -> gate.Written:
    """Let a version answer, screen what it wrote, and count."""
    prompts = [prompt for prompt, _ in told.asked]
    run.engine.use(version, adapter)
    replies = run.engine.sample(prompts, [sampling for _, sampling in told.asked])
    told.token_count += sum(reply.token_count for group in replies for reply in group)
    told.prompt_tokens += sum(reply.prompt_tokens for group in replies for reply in group)
    written: list[tuple[int, str]] = []
    sources: dict[str, str] = {}
    for place, (prompt, group) in enumerate(zip(prompts, replies, strict=True)):
        for source in _programs(run, prompt, group):
            candidate = candidate_id(source)
            written.append((place, candidate))
            sources[candidate] = source
    verdicts = _screened(run, told, sources)
    valid = [(p, c, v) for p, c in written if isinstance(v := verdicts[c], Screened)]
    margins = [_margin(run, prompts, place, sources[candidate]) for place, candidate, _ in valid]
    return gate.Written(
        version=version,
        samples=sum(map(len, replies)),
        valid=len(valid),
        valid_new=len({verdict.graph for _, _, verdict in valid} - set(run.state.graphs)),
        heredity=mean([each for each in margins if each is not None]),
    )


def _programs(run: Run, prompt: Prompt, group: list[Reply]) -> list[str]:
    """The sources that can be read from the replies to one prompt."""
    found: list[str] = []
    for reply in group:
        child = read_reply(prompt, reply)
        prepared = child if isinstance(child, Rejected) else run.screener.prepare(child[0])
        if not isinstance(prepared, Rejected):
            found.append(prepared.source)
    return found


def _screened(run: Run, told: Questions, sources: dict[str, str]) -> dict[str, Screened | Rejected]:
    fresh = {each: source for each, source in sources.items() if each not in told.verdicts}
    verdicts = told.verdicts | verdicts_on(run, fresh, "screen for the gate")
    told.verdicts |= {each: verdicts[each] for each in fresh if each not in run.state.verdicts}
    return verdicts


def _margin(run: Run, prompts: list[Prompt], place: int, child: str) -> float | None:
    """How much more the child is its own parents' than another prompt's; see `heredity.margin`.

    None where all prompts show the same parents.
    """
    own = prompts[place]
    others = [
        each for each in prompts[place + 1 :] + prompts[:place] if each.parents != own.parents
    ]
    if not others:
        return None
    return margin(lines_of(child), _shown(run, own), _shown(run, others[0]))


def _shown(run: Run, prompt: Prompt) -> list[list[str]]:
    """The lines of the parents that a prompt shows."""
    rest = [run.source(parent) for parent in prompt.parents[1:]]
    return [lines_of(source) for source in (prompt.parent_source, *rest)]


def lines_of(source: str) -> list[str]:
    """A program's lines as the numbered view shows them; none without a view."""
    return shown_lines(source) or []
