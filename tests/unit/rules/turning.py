"""How a rule is tested where it turns: one number, just below its threshold, at it and just above, and what then fires."""

from collections.abc import Callable
from typing import NamedTuple

from made_flows import MadeFlows


class Turn(NamedTuple):
    """A rule and the number that it turns on."""

    rule: str
    judge: str
    made: Callable[[int], MadeFlows]  # flows for a number
    below: int
    at: int
    at_least: bool = True  # it fires from the threshold on; otherwise up to it

    @property
    def expected(self) -> tuple[bool, bool, bool]:
        """Return whether the rule should fire just below the threshold, at it and just above."""
        return (False, True, True) if self.at_least else (True, True, False)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Return the number just below, at and just above."""
        return self.below, self.at, self.at + abs(self.at - self.below)
