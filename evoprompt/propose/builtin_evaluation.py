"""What the built-in model can do: valid and new children, obedience to the target, donor lines.

`python -m evoprompt.propose.builtin_evaluation --samples 200 --temperature 0.8 [--model FOLDER]`
prints one line of figures per group. Parents are programs of the grammar drawn with a seed that
training does not use; children are built and run forward and backward at batch 2 in the jail.
Not promised: that a valid child passes the screen, which also exports and checks it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from evoprompt.candidate import Parent, Prompt, Rejected, Reply, Sampling, TaskShape
from evoprompt.config import ProposerSettings
from evoprompt.grammar.shapes import parameter_count
from evoprompt.grammar.spec import render
from evoprompt.jail.limits import Limits
from evoprompt.jail.zygote import Zygote
from evoprompt.propose.builtin_corpus import random_parent, random_task
from evoprompt.propose.engine import open_engine
from evoprompt.propose.prompting import make_prompts
from evoprompt.propose.reply import read_reply
from evoprompt.propose.templates import load_templates, size

MODULE = "evoprompt.propose.builtin_evaluation"  # not __main__: the jail imports it by name
SEED = 20_000_003  # training draws its corpus from small seeds
SAMPLES_PER_PROMPT = 4
_LIMITS = Limits(seconds=20.0, cpu_seconds=20, memory_mb=2000)


@dataclass(frozen=True)
class Sample:
    """One reply and what became of it."""

    prompt: Prompt
    wish: str
    """smaller, same, larger or any: the target against the parent's size."""
    parent_parameters: int
    child: str
    """Source, or "" if the reply is no edit."""
    added: bool
    """Whether a forgotten class was added."""
    parameters: int
    """0 if the child does not run."""
    problem: str
    """Why it is not valid, or ""."""


def warm() -> None:
    """Import what the jailed programs need, before the fork."""
    import torch

    torch.set_num_threads(1)


def run_program(payload: bytes) -> bytes:
    """In the jail: one forward and backward at batch 2; JSON of parameters or problem."""
    import torch
    from torch import nn

    job = json.loads(payload)
    names: dict = {"__name__": "candidate"}
    try:
        exec(compile(job["source"], "candidate", "exec"), names)
        model = names["Net"](tuple(job["in_shape"]), job["num_classes"])
        for module in model.modules():
            if isinstance(module, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)):
                module.register_forward_hook(_refuse_uneven)
        logits = model(torch.randn(2, *job["in_shape"]))
        if logits.shape != (2, job["num_classes"]):
            raise ValueError(f"output {tuple(logits.shape)}")
        logits.sum().backward()
        count = sum(parameter.numel() for parameter in model.parameters())
    except Exception as error:  # the wall: whatever a written program does
        return json.dumps({"problem": f"{type(error).__name__}: {error}"[:200]}).encode()
    return json.dumps({"parameters": count}).encode()


def _refuse_uneven(module, inputs, output) -> None:
    """The ONNX exporter refuses adaptive pooling to a size that does not divide its input."""
    before, after = inputs[0].shape[2:], output.shape[2:]
    if any(a % b for a, b in zip(before, after, strict=True)):
        raise ValueError("uneven adaptive pooling")


def draw_samples(model: str, count: int, temperature: float, top_p: float) -> list[Sample]:
    """`count` samples, four to a prompt, each prompt with its own task and parents."""
    settings = ProposerSettings(
        model=model, samples_per_prompt=SAMPLES_PER_PROMPT, top_p=top_p, threads=1, cross_share=0.4
    )
    templates = load_templates()
    parents: dict[str, Parent] = {}
    tasks: list[TaskShape] = []
    prompts: list[Prompt] = []
    samplings: list[Sampling] = []
    rng = Random(SEED)
    for number in range(-(-count // SAMPLES_PER_PROMPT)):
        task = random_task(rng)

        def pick(chance: Random, task: TaskShape = task) -> Parent:
            spec = random_parent(chance, task)
            source = render(spec)
            accuracy = chance.uniform(0.2, 0.97)
            parent = Parent(f"{len(parents)}", source, accuracy, parameter_count(spec), 0)
            parents[parent.id] = parent
            return parent

        (prompt, sampling) = make_prompts(templates, pick, task, 1, settings, SEED + number)[0]
        tasks.append(task)
        prompts.append(prompt)
        samplings.append(replace(sampling, temperature=temperature))
    engine = open_engine(settings)
    replies = engine.sample(prompts, samplings)
    out = []
    with Zygote([f"{MODULE}:warm"]) as jail:
        for task, prompt, written in zip(tasks, prompts, replies, strict=True):
            parent = parents[prompt.parents[0]]
            out += [_judge(jail, task, prompt, parent, reply) for reply in written]
    return out


def _judge(jail: Zygote, task: TaskShape, prompt: Prompt, parent: Parent, reply: Reply) -> Sample:
    sample = Sample(prompt, _wish(prompt, parent), parent.parameters, "", False, 0, "")
    read = read_reply(prompt, reply)
    if isinstance(read, Rejected):
        return replace(sample, problem=read.reason.value)
    job = {"source": read[0], "in_shape": task.in_shape, "num_classes": task.num_classes}
    entry = f"{MODULE}:run_program"
    outcome = jail.run(entry, json.dumps(job).encode(), _LIMITS)
    result = json.loads(outcome.output) if outcome.output else {"problem": str(outcome.killed)}
    return replace(
        sample,
        child=read[0],
        added=bool(read[1]),
        parameters=result.get("parameters", 0),
        problem=result.get("problem", ""),
    )


def _wish(prompt: Prompt, parent: Parent) -> str:
    if prompt.target == "any":
        return "any"
    sizes = [size(parent.parameters * factor) for factor in (0.5, 1.0, 2.0)]
    names = ("smaller", "same", "larger")
    return names[sizes.index(prompt.target)] if prompt.target in sizes else "same"


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else float("nan")


def figures(samples: list[Sample]) -> str:
    """One line: how many, valid, new, with a class added; and how the sizes of the valid moved."""
    valid = [s for s in samples if not s.problem]
    new = {(s.prompt.parents[0], s.child) for s in valid}
    hits = [s.prompt.target == size(s.parameters) for s in valid if s.prompt.target != "any"]
    return (
        f"n {len(samples)} valid {_share(not s.problem for s in samples):.3f} "
        f"new {len(new) / max(1, len(samples)):.3f} added {_share(s.added for s in samples):.3f} "
        f"shrinks {_share(s.parameters < s.parent_parameters for s in valid):.2f} "
        f"grows {_share(s.parameters > s.parent_parameters for s in valid):.2f} "
        f"hits target {_share(hits):.2f}"
    )


def takes_from_donor(sample: Sample) -> bool:
    """Whether the child holds a donor line that its parent does not."""
    parent = {line.strip() for line in sample.prompt.parent_source.splitlines()}
    child = {line.strip() for line in sample.child.splitlines()}
    return any(line.strip() in child - parent for line in sample.prompt.donor)


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description="Measure the built-in model.")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--model", default="builtin")
    settings = parser.parse_args()
    samples = draw_samples(settings.model, settings.samples, settings.temperature, settings.top_p)
    print(f"{settings.model} T {settings.temperature} top_p {settings.top_p}")
    print("all:", figures(samples))
    for operator in ("mutate", "cross"):
        print(f"{operator}:", figures([s for s in samples if s.prompt.operator == operator]))
    for wish in ("smaller", "same", "larger", "any"):
        print(f"wish {wish}:", figures([s for s in samples if s.wish == wish]))
    crossed = [s for s in samples if s.prompt.operator == "cross" and not s.problem]
    print(f"cross, valid: takes donor lines {_share(map(takes_from_donor, crossed)):.2f}")
    for problem, number in Counter(s.problem[:90] for s in samples if s.problem).most_common(10):
        print("  failed", number, problem)


if __name__ == "__main__":
    main()
