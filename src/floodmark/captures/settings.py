"""The settings of metering: when a flow ends, and which packets belong together."""

from dataclasses import dataclass

from floodmark.base.thresholds import Checked, threshold


@dataclass(frozen=True)
class FlowSettings(Checked):
    """When a flow ends, on the capture clock. Defaults follow Zeek and Suricata where they agree (decision 6)."""

    tcp_established_timeout_s: float = threshold(300.0, "silence that ends a TCP flow", "Zeek tcp_inactivity_timeout")
    tcp_half_open_timeout_s: float = threshold(60.0, "silence that ends one without a handshake", "Suricata tcp new")
    tcp_linger_s: float = threshold(5.0, "late segments of a closed connection still belong to it")
    udp_timeout_s: float = threshold(60.0, "silence that ends a UDP flow", "Zeek udp_inactivity_timeout")
    dns_timeout_s: float = threshold(10.0, "silence that ends a DNS flow", "Zeek dns_session_timeout")
    icmp_timeout_s: float = threshold(30.0, "silence that ends an ICMP flow", "Suricata icmp")
    other_timeout_s: float = threshold(60.0, "silence that ends any other flow", "as UDP's")
    active_timeout_s: float = threshold(1800.0, "longest time of one flow", "RFC 5102 flowActiveTimeout; nfstream's default")
    syn_reuse_s: float = threshold(1.0, "a new SYN on an established five-tuple after this silence is a new flow")
    reorder_window_s: float = threshold(1.0, "a packet earlier than this is a jump of the clock, not reordering")
    tunnels: str = threshold("inner", "whose flows are reported: of the packets inside a tunnel over IP, or of the tunnel itself")
