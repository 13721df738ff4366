"""The errors that reach a person, as one tree.

    EvoPromptError
    |-- ConfigError      a setting, preset or command line that cannot be used
    |-- TaskError        data: unknown task, missing key, NaN, mismatched lengths
    |-- TemplateError    a prompt template: syntax, unknown variable, bad front matter
    |-- ModelError       a language model or predictor on disk: missing, truncated, pickled
    |-- LedgerError      a run folder: exists already, other version, damaged
    |-- StorageError     the disk is full or not writable
    `-- JailError        the machine cannot run candidates as safely as asked

Every message says what was wrong, where, what was expected and what to do; `cli` prints it as one
line and exits with code 2. A candidate that fails is not an error: see `candidate.Rejected`.
"""


class EvoPromptError(Exception):
    """Something a person has to change; the message says what, where and how."""


class ConfigError(EvoPromptError):
    """A setting, preset or command line cannot be used."""


class TaskError(EvoPromptError):
    """The data of a task cannot be used."""


class TemplateError(EvoPromptError):
    """A prompt template cannot be used."""


class ModelError(EvoPromptError):
    """A language model, adapter or predictor on disk cannot be used."""


class LedgerError(EvoPromptError):
    """A run folder cannot be used."""


class StorageError(EvoPromptError):
    """The disk is full or not writable."""


class JailError(EvoPromptError):
    """The machine cannot run candidates as safely as asked."""
