"""Steps that a class of the grammar's library does in one line.

In: the steps of a chain. Out: the steps with the library's classes in place of what they do. A
pattern is taken only if the class does exactly this at these shapes; biases, paddings and widths
included.
"""

from evoprompt.rewrite import convolutions, mixing
from evoprompt.rewrite.adapting import adapted
from evoprompt.rewrite.steps import Chain, Line, Step

_PATTERNS = (*convolutions.PATTERNS, *mixing.PATTERNS)


def lifted(chain: Chain) -> Chain:
    """The chain with lines of the library; the longest pattern first."""
    chain = tuple(new for step in chain for new in adapted(step))
    done: list[Step] = []
    place = 0
    while place < len(chain):
        rest = chain[place:]
        found = max((f for p in _PATTERNS if (f := p(rest))), default=None, key=lambda f: f[0])
        if found is None:
            done.append(rest[0])
            place += 1
        else:
            place += found[0]
            done.append(Line(found[1], chain[place - 1].shape))
    return tuple(done)
