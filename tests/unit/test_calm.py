"""Ordinary traffic that could be taken for an attack gets a name of its own, and stays benign."""

import floodmark
from builders import ACK, CLIENT, MILLISECOND, PSH, SECOND, SERVER, answer, connection, icmp, tcp


def names(result: floodmark.Result) -> set[str]:
    assert result.events == ()
    assert result.verdicts["benign"].flows == result.totals.flows
    assert sum(count.flows for count in result.benign.values()) == result.totals.flows
    return set(result.flows.to_table()["vector"].to_pylist())


def transfer(packets: int) -> list[floodmark.Result]:
    whole = connection(0)
    data = [
        tcp((20 + n) * MILLISECOND, SERVER, CLIENT, (80, 40000), PSH | ACK, (9_000 + n * 1400, 1028), bytes([n % 251]) * 1400)
        for n in range(packets)
    ]
    return answer([*whole[:6], *data])


def test_much_in_full_packets_is_a_bulk_transfer() -> None:
    assert names(transfer(400)) == {"bulk-transfer"}
    assert names(transfer(20)) == {"ordinary"}


def test_checks_at_even_distances_are_a_measurement_and_visits_now_and_then_are_not() -> None:
    checks = [packet for n in range(8) for packet in connection(n * 5 * SECOND, 40_000 + n)]
    assert names(answer(checks)) == {"measurement"}
    visits = [packet for n, at_s in enumerate((0, 1, 9, 11, 30, 32, 33, 60)) for packet in connection(at_s * SECOND, 40_000 + n)]
    assert names(answer(visits)) == {"ordinary"}


def test_pings_that_are_answered_at_even_distances_are_a_measurement() -> None:
    pings = [icmp(n * SECOND) for n in range(10)]
    replies = [icmp(n * SECOND + MILLISECOND, SERVER, CLIENT, 0) for n in range(10)]
    together = sorted((*pings, *replies), key=lambda packet: packet.time_ns)
    assert names(answer(together)) == {"measurement"}
    assert names(answer(pings)) == {"ordinary"}  # nobody answers: no monitor is content with that


def crowd(clients: int) -> floodmark.Result:
    """Let a service be visited every two seconds for a minute, and by everyone in the ten seconds after."""
    quiet = [packet for n in range(30) for packet in connection(n * 2 * SECOND + n % 7 * 100 * MILLISECOND, 41_000 + n, client=CLIENT + n)]
    busy = []
    for n in range(160):
        request = f"GET /news/{n % 23} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        at_ns = 60 * SECOND + n * n % 9973 * MILLISECOND
        busy += connection(at_ns, 30_000 + n, request, client=CLIENT + 1000 + n % clients)
    return answer(sorted((*quiet, *busy), key=lambda packet: packet.time_ns))


def test_many_clients_at_once_are_a_crowd_and_few_are_not() -> None:
    many = crowd(160)
    assert "flash-crowd" in names(many)
    assert any(note.startswith("flash crowd: ") for note in many.notes)
    assert "flash-crowd" not in {name for name, count in crowd(8).benign.items() if count.flows}
