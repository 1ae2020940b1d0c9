"""Flows and arrivals in, context out: what one flow cannot show. Who received how much of what, what is usual for them, what shows."""

from dataclasses import dataclass, replace

from floodmark.flows.arrivals import Arrivals
from floodmark.flows.flows import Flows
from floodmark.verdicts.baseline import Baseline
from floodmark.verdicts.receivers import Receivers, hosts_of
from floodmark.verdicts.shaping import ShapedFlows
from floodmark.verdicts.view import View


@dataclass(frozen=True)
class Context:
    """The flows of one run in context."""

    flows: Flows
    arrivals: Arrivals
    view: View  # what the captures can show
    shapes: ShapedFlows
    hosts: Receivers  # that may be victims: hosts, or prefixes in their place
    baseline: Baseline

    def over(self, receivers: Receivers) -> "Context":
        """Return the same flows with other receivers, such as prefixes."""
        return replace(self, hosts=receivers, baseline=Baseline(self.shapes, receivers))


def context_of(flows: Flows, arrivals: Arrivals, view: View | None = None) -> Context:
    """Put the flows of one run in context. view: what the captures can show."""
    shaped, hosts = hosts_of(flows, arrivals)
    return Context(flows, arrivals, view or View(flows), shaped, hosts, Baseline(shaped, hosts))
