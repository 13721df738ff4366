"""Random programs, mutation, crossover: the built-in model's corpus and the control arm.

In: a random generator, a `Spec` (or a source that the grammar can read) and shapes. Out: a new
`Spec` (or source). Everything that leaves this module is legal for its input shape.
Not promised: that a mutation changes the function that the program computes.
"""

from dataclasses import replace
from random import Random

from evoprompt.grammar.blocks import (
    ARGUMENTS,
    BLOCK_KINDS,
    SLOTS,
    TEMPLATES,
    change_block,
)
from evoprompt.grammar.shapes import repair
from evoprompt.grammar.spec import ACTIVATION_NAMES, Entry, Head, Hidden, Spec, parse, render

# Programs under a few thousand parameters matter (MNIST-1D), so small numbers stand more often.
WIDTHS = (4, 4, 6, 6, 8, 8, 8, 12, 12, 12, 16, 16, 16, 20, 25, 25, 32, 32, 48, 64, 96, 128)
ARGUMENT_CHOICES = {
    "channels": WIDTHS,
    "kernel": (3, 3, 3, 5, 5, 7, 9),
    "stride": (1, 1, 1, 2, 2),
    "dilation": (2, 2, 4, 8, 1),
    "heads": (1, 2, 2, 4),
    "width": (4, 4, 8, 8, 12, 16),
    "hidden": (4, 4, 6, 6, 8, 8, 12, 16, 20, 32, 48),
}
HIDDEN_WIDTHS = (8, 12, 16, 20, 25, 32, 48, 64, 100, 128)
PLAIN_KINDS = ("conv", "conv", "conv", "norm", "norm", "activation", "pool", "pool", "dropout")
RATES = (0.1, 0.2, 0.3, 0.5)
MAXIMUM_TRIES = 20


def random_entry(rng: Random, kinds: list[str], widths: tuple[int, ...] = WIDTHS) -> Entry:
    """One layer: three in five times a block out of `kinds`, else a plain layer."""
    if kinds and rng.random() < 0.6:
        kind = rng.choice(kinds)
        names = [name for name in ARGUMENTS[kind] if name != "inputs"]
        choices = ARGUMENT_CHOICES | {"channels": widths}
        values = tuple(rng.choice(choices[name]) for name in names)
        return Entry(kind, values, concat=rng.random() < 0.1)
    match rng.choice(PLAIN_KINDS):
        case "conv":
            kernel, stride = rng.choice((3, 3, 5, 5, 7, 9, 1)), rng.choice((1, 1, 2))
            padding = rng.choice((kernel // 2, kernel // 2, 1 if kernel > 1 else 0, 0))
            return Entry("conv", (rng.choice(widths), kernel, stride, padding))
        case "activation":
            return Entry("activation", (rng.choice(ACTIVATION_NAMES),))
        case "pool":
            return Entry("pool", (rng.choice(("Max", "Max", "Avg")),))
        case "dropout":
            return Entry("dropout", (rng.choice(RATES[:3]),))
    return Entry("norm")


def random_head(rng: Random) -> Head:
    """Flatten or pool, then none to two hidden layers."""
    pool = rng.choice(("", "", "Avg", "Avg", "Max"))
    positions = rng.choice((1, 1, 1, 1, 2, 4, 5)) if pool else 1
    activation, rate = rng.choice(ACTIVATION_NAMES), rng.choice((0.0, 0.0, 0.0, *RATES))
    count = rng.choice((0, 0, 0, 1, 1, 2))
    hidden = tuple(Hidden(rng.choice(HIDDEN_WIDTHS), activation, rate) for _ in range(count))
    return Head(pool, positions, 0.0 if hidden else rate, hidden)


def random_spec(rng: Random, in_shape: tuple[int, ...], num_classes: int) -> Spec:
    """A program of one of several habits: convolutions, blocks, recurrence, or no body at all."""
    empty = Spec(in_shape, num_classes, (), (), random_head(rng))
    if rng.random() < 0.04:
        width = rng.choice(HIDDEN_WIDTHS)
        hidden = (Hidden(width), Hidden(rng.choice(HIDDEN_WIDTHS)))[: rng.choice((1, 2))]
        return repair(replace(empty, head=Head(hidden=hidden)), rng)
    low = rng.randrange(len(WIDTHS))
    widths = WIDTHS[max(0, low - 6) : low + 7]  # widths of one program are of one order
    kinds = rng.sample(BLOCK_KINDS, rng.choice((0, 1, 1, 2, 2, 3)))
    body = []
    if "SequenceBlock" in kinds:
        body.append(Entry("SequenceBlock", (rng.choice(ARGUMENT_CHOICES["hidden"]),)))
    elif rng.random() < 0.7:
        kernel = rng.choice((3, 5, 5, 7))
        padding = rng.choice((kernel // 2, kernel // 2, 1))
        body.append(Entry("conv", (rng.choice(widths), kernel, rng.choice((1, 2)), padding)))
        body += [Entry("norm")] * (rng.random() < 0.5)
        body += [Entry("activation", (rng.choice(ACTIVATION_NAMES),))] * (rng.random() < 0.8)
    blocks = [kind for kind in kinds if kind != "SequenceBlock"]
    body += [random_entry(rng, blocks, widths) for _ in range(rng.randint(0 if body else 1, 6))]
    if not any(has_parameters(entry) for entry in body):
        body.append(Entry("conv", (rng.choice(widths), 5, 1, 2)))
    return repair(replace(empty, body=tuple(body)), rng)


def mutate(spec: Spec, rng: Random) -> Spec:
    """One to three small changes; never the same program."""
    for _ in range(MAXIMUM_TRIES):
        child = spec
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            child = repair(_change(child, rng), rng)
        if child != spec:
            return child
    return repair(
        replace(spec, head=replace(spec.head, hidden=(Hidden(16), *spec.head.hidden))), rng
    )


def _change(spec: Spec, rng: Random) -> Spec:
    body, draw = spec.body, rng.random()
    used = [block.kind for block in spec.blocks if block.kind in BLOCK_KINDS]
    kinds = used if used and rng.random() < 0.7 else list(BLOCK_KINDS)
    place = rng.randrange(len(body)) if body else 0
    if draw < 0.30 and body:
        return replace(spec, body=(*body[:place], _tweak(body[place], rng), *body[place + 1 :]))
    if draw < 0.46:
        place = rng.randint(0, len(body))
        return replace(spec, body=(*body[:place], random_entry(rng, kinds), *body[place:]))
    if draw < 0.58 and len(body) > 1:
        return replace(spec, body=body[:place] + body[place + 1 :])
    if draw < 0.68 and body:
        return replace(spec, body=(*body[:place], random_entry(rng, kinds), *body[place + 1 :]))
    if draw < 0.73 and len(body) > 1:
        place = rng.randrange(len(body) - 1)
        return replace(spec, body=body[:place] + body[place : place + 2][::-1] + body[place + 2 :])
    if draw < 0.83 and any(SLOTS[block.kind] for block in spec.blocks):
        chosen = rng.choice([i for i, block in enumerate(spec.blocks) if SLOTS[block.kind]])
        changed = change_block(spec.blocks[chosen], rng)
        return replace(spec, blocks=(*spec.blocks[:chosen], changed, *spec.blocks[chosen + 1 :]))
    if draw < 0.91:
        return replace(spec, head=_change_head(spec.head, rng))
    return _rescale(spec, rng)


def _tweak(entry: Entry, rng: Random) -> Entry:
    """Another value of one argument, or the wrapper put around a block or taken off."""
    if entry.kind in TEMPLATES and rng.random() < 0.1:
        return replace(entry, concat=not entry.concat)
    if entry.kind == "conv":
        return _tweak_conv(entry, rng)
    if not entry.arguments:
        return Entry("activation", (rng.choice(ACTIVATION_NAMES),))
    place = rng.randrange(len(entry.arguments))
    if entry.kind in TEMPLATES:
        names = [name for name in ARGUMENTS[entry.kind] if name != "inputs"]
        choices = ARGUMENT_CHOICES[names[place]]
    else:
        table = {"activation": ACTIVATION_NAMES, "pool": ("Max", "Avg"), "dropout": RATES}
        choices = table[entry.kind]
    others = [value for value in choices if value != entry.arguments[place]]
    return replace(entry, arguments=_with(entry.arguments, place, rng.choice(others)))


def _tweak_conv(entry: Entry, rng: Random) -> Entry:
    channels, kernel, stride, padding = entry.arguments
    match rng.choice(("channels", "channels", "kernel", "stride", "padding")):
        case "channels":
            channels = rng.choice(WIDTHS)
        case "kernel":
            same = padding == kernel // 2
            kernel = rng.choice((1, 3, 5, 7, 9))
            padding = kernel // 2 if same else min(padding, kernel // 2)
        case "stride":
            stride = 3 - stride if stride in (1, 2) else 1
        case "padding":
            padding = rng.choice((0, 1, kernel // 2)) if kernel > 1 else 0
    return replace(entry, arguments=(channels, kernel, stride, padding))


def _with(values: tuple, place: int, value: object) -> tuple:
    return (*values[:place], value, *values[place + 1 :])


def _change_head(head: Head, rng: Random) -> Head:
    other = random_head(rng)
    match rng.choice(("pool", "pool", "hidden", "hidden", "width", "dropout")):
        case "pool":
            return replace(head, pool=other.pool, positions=other.positions)
        case "hidden":
            return replace(head, hidden=other.hidden)
        case "width" if head.hidden:
            place = rng.randrange(len(head.hidden))
            layer = replace(head.hidden[place], width=rng.choice(HIDDEN_WIDTHS))
            return replace(head, hidden=_with(head.hidden, place, layer))
    return replace(head, dropout=other.dropout)


def _rescale(spec: Spec, rng: Random) -> Spec:
    """All widths of the body (and half the time of the head) to about a half, two thirds, 1.5 or
    twice.
    """
    factor = rng.choice((0.5, 0.5, 0.67, 1.5, 2.0))
    body = tuple(_scaled_entry(entry, factor) for entry in spec.body)
    head = spec.head
    if rng.random() < 0.5 or not body:
        hidden = tuple(replace(h, width=_scaled(h.width, factor)) for h in head.hidden)
        head = replace(head, hidden=hidden)
    return replace(spec, body=body, head=head)


def _scaled(width: int, factor: float) -> int:
    """The width of the grammar that is nearest to the product."""
    return min(sorted({*WIDTHS, *HIDDEN_WIDTHS}), key=lambda choice: abs(choice - width * factor))


def _scaled_entry(entry: Entry, factor: float) -> Entry:
    names = {"conv": ("channels",)}.get(entry.kind, ARGUMENTS.get(entry.kind, ()))
    names = [name for name in names if name != "inputs"]
    values = list(entry.arguments)
    for place, name in enumerate(names):
        if name in ("channels", "hidden", "width"):
            values[place] = _scaled(values[place], factor)
    return replace(entry, arguments=tuple(values))


def pick_run(entries: list[bool], rng: Random) -> tuple[int, int]:
    """Start and end of a run of one to three body entries; `entries` says which ones have
    parameters.

    One with parameters is in it wherever the body has any.
    """
    length = rng.choice((1, 1, 2, 3))
    start = 0
    for _ in range(MAXIMUM_TRIES):
        start = rng.randrange(len(entries))
        if any(entries[start : start + length]):
            break
    return start, min(len(entries), start + length)


def has_parameters(entry: Entry | None) -> bool:
    """Whether a line is worth taking over on its own (an unknown line counts as one)."""
    return entry is None or entry.kind in TEMPLATES or entry.kind == "conv"


def cross(spec: Spec, donor: Spec, rng: Random) -> Spec:
    """A run of the donor's entries put into the program; for an empty donor body, its head."""
    if not donor.body:
        return repair(replace(spec, head=donor.head), rng)
    start, end = pick_run([has_parameters(entry) for entry in donor.body], rng)
    return insert_run(spec, donor, (start, end), rng)


def insert_run(spec: Spec, donor: Spec, run: tuple[int, int], rng: Random) -> Spec:
    """The donor's entries `run[0]:run[1]` in place of none to two entries; classes known here are
    kept.
    """
    place = rng.randint(0, len(spec.body))
    end = min(len(spec.body), place + rng.choice((0, 0, 1, 1, 2)))
    body = spec.body[:place] + donor.body[slice(*run)] + spec.body[end:]
    known = {block.kind for block in spec.blocks}
    blocks = tuple(block for block in donor.blocks if block.kind not in known) + spec.blocks
    return repair(replace(spec, body=body, blocks=blocks), rng)


def mutate_source(
    source: str, in_shape: tuple[int, ...], num_classes: int, rng: Random
) -> str | None:
    """The control arm's mutation; None where the grammar cannot read the source."""
    spec = parse(source, in_shape, num_classes)
    return None if spec is None else render(mutate(spec, rng))


def cross_source(
    source: str, donor: str, in_shape: tuple[int, ...], num_classes: int, rng: Random
) -> str | None:
    """The control arm's crossover; None where the grammar cannot read one of the two."""
    specs = [parse(text, in_shape, num_classes) for text in (source, donor)]
    if specs[0] is None or specs[1] is None:
        return None
    return render(cross(specs[0], specs[1], rng))
