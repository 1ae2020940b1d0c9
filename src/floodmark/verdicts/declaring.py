"""What a family of rules declares of itself: its thresholds, its rules, its vectors, and which families it must come after.

The order of judging, ``floodmark settings``, ``floodmark rules``, the reference pages and the register of rule ids follow from this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from floodmark.base.thresholds import Checked
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import Finding, Rule

V_co = TypeVar("V_co", covariant=True)  # thresholds of the volumetric rules, as far as a family knows them
A_co = TypeVar("A_co", covariant=True)  # those of the application-layer rules


class Case(NamedTuple, Generic[V_co, A_co]):
    """What a family judges. Each family asks only for the thresholds that it declares."""

    context: Context
    volumetric: V_co
    application: A_co
    explained: np.ndarray  # bool per flow row: true for flows that another finding holds


@dataclass(frozen=True)
class Judge:
    """One way of judging: a function, the vectors that its findings can have, and the rules that it weighs."""

    name: str
    find: Callable[[Case[Any, Any]], list[Finding]]
    vectors: tuple[str, ...]
    rules: tuple[Rule, ...]
    after: tuple[str, ...] = ()  # names of those that explain flows first
    over_prefixes: bool = False  # judged once more with prefixes as the victims


@dataclass(frozen=True)
class Family:
    """A file of rules: how it judges, and with which thresholds."""

    name: str
    table: str  # of the settings that its thresholds stand in: volumetric or application
    thresholds: type[Checked]
    judges: tuple[Judge, ...]
    rules: tuple[Rule, ...] = ()  # that no judge of its own weighs, but those over prefixes
