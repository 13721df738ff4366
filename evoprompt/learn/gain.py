"""How much a child adds to its parent's front of accuracy and log parameters.

In: accuracy and parameters of parent and child. Out: the gain in front hypervolume over the parent:
the area that the child dominates and its parent does not. Its unit is accuracy times decades of
parameters, measured from the point (chance accuracy, ten million parameters).
Siblings are ordered by it for tuning, and `benchmarks/tuning.py` measures by it; nowhere else is
it defined. Not promised: anything about the front of a whole run; a child is compared with one net.
"""

import math
from dataclasses import dataclass

LARGEST = 1e7  # parameters; the default limit of the screen (5 million) lies inside


@dataclass(frozen=True)
class Point:
    """One network on the two axes."""

    accuracy: float
    """0..1, measured or predicted."""
    parameters: int


def area(point: Point, chance: float) -> float:
    """What one network dominates; 0 at chance accuracy or below, or from ten million parameters."""
    decades = math.log10(LARGEST / max(1, point.parameters))
    return max(0.0, point.accuracy - chance) * max(0.0, decades)


def gain(parent: Point, child: Point, chance: float) -> float:
    """The child's area outside its parent's; 0 for a child that is no better on either axis.

    Args:
        parent: The first parent.
        child: Its child.
        chance: Accuracy of a guess, one over the number of classes.
    """
    shared = Point(
        min(parent.accuracy, child.accuracy), max(1, parent.parameters, child.parameters)
    )
    return area(child, chance) - area(shared, chance)
