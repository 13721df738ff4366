"""Running code that nobody trusts: a zygote forks one confined, limited child per job.

In: the name of a trusted entry function, bytes, limits. Out: bytes, or how the job was killed.
`forker` says what this does not protect from.
"""

from evoprompt.jail.limits import Limits, Outcome
from evoprompt.jail.pool import JailPool
from evoprompt.jail.zygote import Zygote

__all__ = ["JailPool", "Limits", "Outcome", "Zygote"]
