"""Users and items of one replicate, numbered from 0: the sample's own first, then what is only ranked or tested."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.bootstrap import BootstrapSample
from tfdat.data.interactions import Interactions
from tfdat.data.panel import PanelDraw

Codes = NDArray[np.int32]


@dataclasses.dataclass(frozen=True)
class Panel:
    """The panel's test set in local codes; see `tfdat.data.panel`.

    Attributes:
      user, item: [p] the users, ascending, and their test items.
      candidates: [C] the items that are ranked, ascending.
    """

    user: Codes
    item: Codes
    candidates: Codes


@dataclasses.dataclass(frozen=True)
class LocalCodes:
    """Local codes of a sample.

    Attributes:
      owners: [U] who the local users are, ascending: the data set's codes unless users are cloned.
      users, items: [U], [I] the data set's codes; the sample's own items come first.
      num_sampled: the sample's items.
      num_candidates: the items that the sample's test items are ranked among.
    """

    owners: NDArray[np.int64]
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    num_sampled: int
    num_candidates: int

    @classmethod
    def build(
        cls, interactions: Interactions, sample: BootstrapSample, panel: PanelDraw | None, config: Config
    ) -> LocalCodes:
        members = sample.owner if panel is None else np.concatenate([sample.owner, panel.users])
        owners = np.unique(members)
        users = np.zeros(len(owners), dtype=np.int64)
        users[np.searchsorted(owners, sample.owner)] = interactions.user[sample.rows]
        items = sampled = np.unique(interactions.item[sample.rows]).astype(np.int64)
        if panel is not None:
            users[np.searchsorted(owners, panel.users)] = panel.users
            items = np.concatenate([items, np.setdiff1d(panel.candidates, items)])
        every = config.evaluation.candidates == "all"
        if every:
            items = np.concatenate([items, np.setdiff1d(np.arange(interactions.num_items), items)])
        return cls(owners, users, items, len(sampled), len(items) if every else len(sampled))

    def users_of(self, owner: NDArray[np.integer]) -> Codes:
        """[n] local users."""
        return np.searchsorted(self.owners, owner).astype(np.int32)

    def items_of(self, item: NDArray[np.integer]) -> Codes:
        """[n] local items."""
        order = np.argsort(self.items)
        return order[np.searchsorted(self.items, item, sorter=order)].astype(np.int32)

    def panel(self, interactions: Interactions, panel: PanelDraw) -> Panel:
        """The panel in local codes."""
        return Panel(
            self.users_of(panel.users),
            self.items_of(interactions.item[panel.held_out]),
            np.sort(self.items_of(panel.candidates)),
        )
