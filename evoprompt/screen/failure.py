"""How the two jailed jobs of the screen report a candidate that fails. Standard library only."""

import json

from evoprompt.candidate import Reason, Stage


class CandidateError(Exception):
    """The candidate fails: where and why."""

    def __init__(self, stage: Stage, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.stage = stage
        self.reason = reason

    def report(self) -> bytes:
        """Return the line of JSON that a job answers with."""
        failure = {"stage": self.stage, "reason": self.reason, "detail": str(self)[:2000]}
        return json.dumps(failure).encode() + b"\n"
