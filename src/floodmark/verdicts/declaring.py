"""What a family of rules declares: its thresholds, its rules, its vectors, and which families must run before it.

The order of execution, ``floodmark settings``, ``floodmark rules``, the reference pages and the register of rule ids follow from this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from floodmark.base.thresholds import Checked
from floodmark.verdicts.context import Context
from floodmark.verdicts.weighing import Finding, Rule

V_co = TypeVar("V_co", covariant=True)  # thresholds of the volumetric rules, as far as a family needs them
A_co = TypeVar("A_co", covariant=True)  # those of the application-layer rules


class Case(NamedTuple, Generic[V_co, A_co]):
    """The input of a family. Each family uses only the thresholds that it declares."""

    context: Context
    volumetric: V_co
    application: A_co
    explained: np.ndarray  # bool per flow row: true for flows that another finding holds


@dataclass(frozen=True)
class Judge:
    """One detector: a function, the vectors that its findings can have, and the rules that it weighs."""

    name: str
    find: Callable[[Case[Any, Any]], list[Finding]]
    vectors: tuple[str, ...]
    rules: tuple[Rule, ...]
    after: tuple[str, ...] = ()  # names of the judges that must run first
    over_prefixes: bool = False  # run again with prefixes as victims


@dataclass(frozen=True)
class Family:
    """A file of rules: its judges and their thresholds."""

    name: str
    table: str  # of the settings that holds its thresholds: volumetric or application
    thresholds: type[Checked]
    judges: tuple[Judge, ...]
    rules: tuple[Rule, ...] = ()  # weighed by the judges that run over prefixes, not by one of its own
