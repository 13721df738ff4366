"""What a predictor's answers rest on: its members, their weights, its labels."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surrogate.score import Surrogate


def basis(surrogate: "Surrogate", task: str | None = None) -> str:
    """A few sentences for people."""
    count = surrogate.label_count
    if not count:
        return (
            "It rests on size only (parameters and MACs): this predictor has seen no labels. "
            "Give it some with `fit`."
        )
    members = surrogate.members
    labels = f"{count} label{'s' if count > 1 else ''}"
    if all(member.weight == 0 for member in members if member.name != "prior"):
        from surrogate.tune import FEWEST

        why = f", fewer than {FEWEST}" if count < FEWEST else ", no member ranks them better"
        return f"It rests on the prior only (parameters and MACs): {labels}{why}."
    ranked = sorted(members, key=lambda member: -member.weight)
    said = ", ".join(f"{m.name} {m.weight:.0%} (tau {m.tau:.2f})" for m in ranked)
    found = f"It rests on {labels}: {said}; tau is cross-validated on those labels."
    if task is not None and task not in surrogate.learned.tasks:
        found += f" None is of the task '{task}': trust the order, not the accuracies."
    return found
