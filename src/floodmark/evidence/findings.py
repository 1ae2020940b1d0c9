"""What verifying a bundle found: what holds, what was altered, and what nothing in it can show."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Alteration:
    """Something that is not as it was made."""

    path: str  # in the bundle
    what: str


@dataclass
class Verified:
    """What was found."""

    held: list[str] = field(default_factory=list)  # what was checked and holds, in words
    altered: list[Alteration] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # what nothing here can show, and what to do about it
    public_key: str | None = None  # of whoever signed it, where the signature holds

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing was altered."""
        return not self.altered

    def alter(self, path: str, what: str) -> None:
        """Note an alteration."""
        self.altered.append(Alteration(path, what))

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as plain values."""
        return {
            "whole": self.is_whole,
            "altered": [{"path": each.path, "what": each.what} for each in self.altered],
            "held": self.held,
            "remarks": self.remarks,
            "public_key": self.public_key,
        }
