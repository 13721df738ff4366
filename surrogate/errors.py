"""The errors of the package, as one tree; messages say what, where, what was expected, what to do.

SurrogateError
|-- GraphError       an ONNX file that cannot be read as a network
|   `-- BatchError   one that does not treat every example of a batch alike, at any batch size
|-- TooLongError     a graph with more lines than an encoder reads
`-- BadShapeError    sizes that fit no tensor; inside `encode` only, which makes it a GraphError
    `-- BatchShapeError   sizes that no batch size explains; `encode` makes it a BatchError
"""


class SurrogateError(Exception):
    """Something a person has to change; the message says what, where and how."""


class GraphError(SurrogateError):
    """An ONNX file that cannot be read as a network."""


class BatchError(GraphError):
    """A graph that holds at one batch size only, or tells the examples of a batch apart."""


class TooLongError(SurrogateError):
    """A graph with more lines than an encoder reads."""


class BadShapeError(SurrogateError):
    """Sizes that no real tensor has; the message is what."""


class BatchShapeError(BadShapeError):
    """Sizes that do not grow with the batch as those of a network do."""


def problem(what: str, where: str, expected: str, action: str) -> str:
    """Return the four parts of a message as one line."""
    return f"{where}: {what}. Expected {expected}. {action}."
