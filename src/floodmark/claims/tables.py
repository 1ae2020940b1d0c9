"""Shapes of the tables that users write about assets and claims; what a shape cannot say is checked where they are read."""

from typing import Annotated, TypeAlias

import msgspec

_Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Vlan: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=4095)]
_Claimed: TypeAlias = Annotated[float, msgspec.Meta(gt=0, lt=1e18)]


class AssetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a file of assets."""

    title: str | None = None
    addresses: tuple[str, ...] = ()
    ports: tuple[_Port, ...] = ()
    vlans: tuple[_Vlan, ...] = ()
    host_names: tuple[str, ...] = ()


class ClaimTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table of a claim."""

    number: _Claimed
    unit: str = "attacks"  # claims.EVERY
    period: str = "1 minute"
    asset: str | None = None
    source: str = ""
