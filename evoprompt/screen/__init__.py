"""Source -> graph, safely: rules, a jailed child that records, a jailed checker that derives."""

from evoprompt.screen.rules import Prepared, prepare
from evoprompt.screen.screener import Screener

__all__ = ["Prepared", "Screener", "prepare"]
