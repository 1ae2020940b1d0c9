"""Slow dialogues: connections kept open by saying almost nothing."""

import numpy as np

from floodmark.context import Context
from floodmark.flowset import FlowSet
from floodmark.settings import ApplicationSettings
from floodmark.verdicts.clients import duration_s, most_at_once, service_host, services, variation
from floodmark.verdicts.evidence import FAIR, SLIGHT, STRONG, Evidence, Finding
from floodmark_core import kinds

_POST = int.from_bytes(b"POST", "big")


def slow_connections(context: Context, settings: ApplicationSettings) -> list[Finding]:
    """Find connections kept open by saying almost nothing, by service."""
    found = []
    for flows in services(context, settings.slow_connections):
        for vector, mask, text in _slow_kinds(flows, settings):
            slow = flows.where(mask)
            least = settings.slow_connections if vector != "slow-connection" else 4 * settings.slow_connections
            if len(slow) < least:
                continue
            at_once = most_at_once(slow)
            if at_once < least:
                continue
            evidence = Evidence()
            evidence.add("dialogue", STRONG, f"R_{vector.upper().replace('-', '_')}", len(slow), least, f"{len(slow):,} connections {text}")
            evidence.add(
                "concurrency",
                FAIR if at_once < 4 * least else 2.0,
                "R_OPEN_AT_ONCE",
                at_once,
                least,
                f"{at_once:,} of them were open at the same time",
            )
            share = len(slow) / len(flows)
            if share >= settings.slow_share:
                evidence.add(
                    "share", FAIR, "R_SHARE", share, settings.slow_share, f"{share:.0%} of the service's connections are like this"
                )
            alike = variation(slow.column("initiator_payload_octets").astype(float))
            if alike <= settings.guessing_variation:
                evidence.add("uniformity", SLIGHT, "R_ALIKE", alike, settings.guessing_variation, "they say the same amount")
            found.append(Finding(vector, [service_host(flows)], slow, evidence, [int(flows.column("responder_port")[0])]))
            break
    return found


def _slow_kinds(flows: FlowSet, settings: ApplicationSettings) -> list[tuple[str, np.ndarray, str]]:
    """Return (vector, mask, what such a connection does) for each way to be slow, the most exact first."""
    stage, packets = flows.column("stage"), flows.column("initiator_payload_packets")
    octets, age = flows.column("initiator_payload_octets"), duration_s(flows)
    gap_s = flows.column("max_gap_ns") / 1e9
    requests, small = flows.column("requests"), flows.column("initiator_small_packets")
    responses, errors = flows.column("responses"), flows.column("error_responses")
    unanswered = responses == errors
    trickle = (octets * 8 < settings.slow_rate_bps * np.maximum(age, 1.0)) & (gap_s >= 1.0)
    open_head = (requests > 0) & (stage & kinds.STAGE_HEAD_OPEN > 0)
    is_post = flows.column("initiator_prefix") >> np.uint64(32) == np.uint64(_POST)
    old = age >= settings.slow_age_s
    half_old = age >= settings.slow_age_s / 4
    few_windows = flows.column("small_window_packets") * 2 >= flows.column("initiator_packets")
    # A head joined in the middle: header lines and nothing else, to a server that is silent or answers with an error.
    dribble = (requests == 0) & (small == packets) & (packets >= 1) & (octets / np.maximum(packets, 1) <= 64) & trickle & half_old
    silent = flows.column("responder_payload_octets") == 0
    given_up = dribble & (((errors > 0) & unanswered) | (silent & (packets >= 2)))
    is_web = bool((responses > 0).any() or (requests > 0).any())
    body = is_post & (stage & kinds.STAGE_HEAD_DONE > 0) & trickle & half_old & (packets >= 3) & unanswered
    stalled = (requests > 0) & few_windows & half_old & (flows.column("small_window_packets") >= 3)
    return [
        ("http-slow-headers", open_head & trickle & half_old & unanswered & (packets >= 2), "send a head line by line and never end it"),
        ("http-slow-headers", given_up & is_web, "dribble header lines until the server gives up"),
        ("http-slow-post", body, "send a body octet by octet"),
        ("http-slow-read", stalled, "ask and then leave no room for the answer"),
        ("slow-connection", dribble & silent & old & (packets >= 2), "dribble a few octets and get no answer"),
    ]
