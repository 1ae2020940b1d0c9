"""Errors form one tree and say where, what and which octet."""

import pickle

import pytest

from floodmark.errors import (
    CaptureError,
    FloodmarkError,
    MemoryLimitError,
    OutputError,
    SettingsError,
    TruncatedCaptureError,
    UnknownFormatError,
)


@pytest.mark.parametrize("error", [CaptureError, MemoryLimitError, OutputError, SettingsError])
def test_every_error_is_a_floodmark_error(error: type[Exception]) -> None:
    assert issubclass(error, FloodmarkError)


@pytest.mark.parametrize("error", [UnknownFormatError, TruncatedCaptureError])
def test_what_a_file_can_do_wrong_is_a_capture_error(error: type[Exception]) -> None:
    assert issubclass(error, CaptureError)


def test_a_capture_error_begins_with_path_and_offset() -> None:
    assert str(CaptureError("a.pcap", "no good", 12)) == "a.pcap, byte 12: no good"


def test_a_capture_error_without_an_offset_begins_with_the_path() -> None:
    assert str(CaptureError("a.pcap", "no good")) == "a.pcap: no good"


def test_offset_zero_is_an_offset() -> None:
    assert str(CaptureError("a.pcap", "no good", 0)) == "a.pcap, byte 0: no good"


def test_path_and_offset_are_attributes() -> None:
    error = CaptureError("a.pcap", "no good", 12)
    assert (error.path, error.offset) == ("a.pcap", 12)


def test_a_capture_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(TruncatedCaptureError("a.pcap", "no good", 12)))  # noqa: S301 - our own octets
    assert (type(error), str(error), error.path, error.offset) == (TruncatedCaptureError, "a.pcap, byte 12: no good", "a.pcap", 12)
