"""Answers of one host to many that did not call it attack nobody here: they are marked, and the host is named."""

import floodmark
from builders import ACK, CLIENT, MILLISECOND, RST, SERVER, SYN, answer, connection, tcp


def answers(count: int, flags: int = SYN | ACK) -> floodmark.Result:
    return answer([tcp(n * MILLISECOND, SERVER, CLIENT + n, (80, 30_000 + n), flags, (n * 77777, n)) for n in range(count)])


def test_answers_to_many_hosts_are_backscatter_of_the_one_that_gives_them() -> None:
    for flags in (SYN | ACK, RST | ACK):
        result = answers(60, flags)
        assert result.events == ()
        assert set(result.flows.to_table()["vector"].to_pylist()) == {"backscatter"}
        assert result.verdicts["benign"].flows == 60
        assert any(
            note.startswith("backscatter: 203.0.113.10 sends ") and "unsolicited replies to 60 hosts" in note for note in result.notes
        )


def test_a_few_answers_and_answers_in_dialogues_are_ordinary() -> None:
    assert set(answers(10).flows.to_table()["vector"].to_pylist()) == {"ordinary"}
    result = answer([packet for n in range(40) for packet in connection(n * 20 * MILLISECOND, 30_000, client=CLIENT + n)])
    assert "backscatter" not in result.flows.to_table()["vector"].to_pylist()
