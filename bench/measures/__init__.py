"""What is measured, a module for each group of tables; each gives its measures when called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ..environment import Environment
from ..results import Measure
from ..rounds import Settings
from . import bodies, clients, idle, inside, peak, scaling, servers

__all__ = ["GROUPS", "Group"]

Group = Callable[[Environment, Settings], Sequence[Measure]]

GROUPS: Final[Mapping[str, Group]] = {
    "servers": servers.measure,
    "bodies": bodies.measure,
    "clients": clients.measure,
    "inside": inside.measure,
    "idle": idle.measure,
    "peak": peak.measure,
    "scaling": scaling.measure,
}
