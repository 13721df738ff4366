"""The errors of the package, as one tree; messages say what, where, what was expected, what to do.

SurrogateError
|-- GraphError       an ONNX file that cannot be read as a network
|-- TooLongError     a graph with more lines than an encoder reads
`-- BadShapeError    sizes that fit no tensor; inside `encode` only, which makes it a GraphError
"""


class SurrogateError(Exception):
    """Something a person has to change; the message says what, where and how."""


class GraphError(SurrogateError):
    """An ONNX file that cannot be read as a network."""


class TooLongError(SurrogateError):
    """A graph with more lines than an encoder reads."""


class BadShapeError(SurrogateError):
    """Sizes that are no function of the batch size, or of no real tensor; the message is what."""


def problem(what: str, where: str, expected: str, action: str) -> str:
    """Return the four parts of a message as one line."""
    return f"{where}: {what}. Expected {expected}. {action}."
