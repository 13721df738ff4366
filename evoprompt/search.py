"""The search: the whole method on this page.

    parents <- archive                                   quality-diversity, verified results only
    propose : template + parents + target -> source      a language model, k samples per prompt
    screen  : source -> graph | Rejected                 a jail; rules, build, one forward, record
    repair  : rejected source + message -> source        once, by the same model; screened again
    score   : graph text -> mean, spread                 the surrogate, in milliseconds
    choose  : who deserves training                      score + spread, and a random reserve
    train   : source -> weights -> accuracy              in a jail; measured by trusted code
    archive : accuracy + descriptors -> cell
    rewrite : elite in a foreign style -> the same graph in the style that the proposer knows
    learn   : predictor refit on all results, proposer tuned on siblings; each must pass its gate

Within a generation propose..score repeats on predicted elites before anything is trained. Each
step in `evoprompt/steps` first asks the ledger what is done already, so this loop is also how a
killed search resumes. Nothing here reads a clock, except for a budget in hours.
"""

import time

from evoprompt.ledger import Event
from evoprompt.steps.canonical import write_canonically
from evoprompt.steps.finish import compare, end
from evoprompt.steps.learn import learn_predictor
from evoprompt.steps.parents import predicted_elites, verified_elites
from evoprompt.steps.propose import plant, propose
from evoprompt.steps.repair import repair
from evoprompt.steps.run import Run
from evoprompt.steps.screen import score, screen
from evoprompt.steps.train import archive, choose_children, choose_seeds, train
from evoprompt.steps.tune_proposer import learn_proposer


def search(run: Run) -> Event:
    """Search, or go on searching, until the budget is spent; return the event that ended it."""
    started = time.monotonic()
    screen(run, 0, plant(run))
    choose_seeds(run)
    train(run, 0)
    archive(run, 0)
    write_canonically(run, 0, 0, verified_elites(run))
    learn_predictor(run, 0)
    generation = 1
    while (reason := spent(run, generation, started)) is None:
        round_number = 0
        while wants_round(run, round_number):
            one_round(run, generation, round_number)
            round_number += 1
        run.engine.rest()
        choose_children(run, generation)
        train(run, generation)
        archive(run, generation)
        write_canonically(run, generation, 0, verified_elites(run))
        learn_predictor(run, generation)
        learn_proposer(run, generation)
        generation += 1
    run.engine.rest()
    compare(run, generation)
    return end(run, generation, reason)


def one_round(run: Run, generation: int, round_number: int) -> None:
    """Propose children, screen them, send rejected ones back once, and score what is new."""
    if round_number:
        write_canonically(run, generation, round_number, predicted_elites(run))
    proposed = propose(run, generation, round_number)
    screen(run, generation, proposed)
    mended = repair(run, generation, round_number, proposed)
    screen(run, generation, mended)
    score(run, generation, proposed)
    score(run, generation, mended)


def wants_round(run: Run, round_number: int) -> bool:
    """Say whether the generation needs another round of proposals."""
    settings = run.settings.choose
    if round_number and paid_out(run):
        return False
    if round_number < settings.min_rounds:
        return True
    wanted = settings.screened_per_trained * settings.trained_per_generation
    return round_number < settings.max_rounds and run.state.screened_count < wanted


def spent(run: Run, generation: int, started: float) -> str | None:
    """Return which budget is spent, or None; recorded, as hours are not repeatable."""

    def decide() -> tuple[str, dict[str, object], dict[str, object]]:
        budget, state = run.settings.budget, run.state
        reason = None
        if generation > budget.generations:
            reason = "generations"
        elif budget.trained is not None and state.trained_count >= budget.trained:
            reason = "trained"
        elif (paid := paid_out(run)) is not None:
            reason = paid
        elif budget.hours is not None and time.monotonic() - started >= budget.hours * 3600:
            reason = "hours"
        return "generation", {"go": reason is None, "reason": reason}, {"time": time.time()}

    return run.once(generation, "start", 1, decide).payload["reason"]


def paid_out(run: Run) -> str | None:
    """Return "tokens" or "money" once the proposer has used up that budget; asked each round."""
    budget, server, state = run.settings.budget, run.settings.proposer.server, run.state
    if budget.tokens is not None and state.token_count >= budget.tokens:
        return "tokens"
    read, written = state.prompt_token_count, state.token_count
    money = (read * server.prompt_price + written * server.completion_price) / 1e6
    return "money" if budget.money is not None and money >= budget.money else None
