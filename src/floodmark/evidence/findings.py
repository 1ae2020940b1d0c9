"""Results of verifying a bundle: what holds, what was altered, and what the bundle cannot show."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Alteration:
    """Something that was altered."""

    path: str  # in the bundle
    what: str


@dataclass
class Verified:
    """The result of verifying a bundle."""

    held: list[str] = field(default_factory=list)  # checks that passed, in words
    altered: list[Alteration] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # what the bundle cannot show, and what to do about it
    public_key: str | None = None  # of the signer, if the signature is valid

    @property
    def is_whole(self) -> bool:
        """Return whether nothing was altered."""
        return not self.altered

    def alter(self, path: str, what: str) -> None:
        """Note an alteration."""
        self.altered.append(Alteration(path, what))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "whole": self.is_whole,
            "altered": [{"path": each.path, "what": each.what} for each in self.altered],
            "held": self.held,
            "remarks": self.remarks,
            "public_key": self.public_key,
        }
