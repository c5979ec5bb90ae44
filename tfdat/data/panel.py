"""The panel: users whose test item is fixed by the full data, whichever sample a model is trained on.

A sample's own test set changes with the sample: its core chooses the users, the test items and the candidates. The
panel does not. Its users are drawn into every nested sample, their test item is the last of the *full* data's core, and
the candidates are all items of that core. What a sample decides is only what the model could learn:

- The users are the first `evaluation.panel_users` of the drawn ones who have a test item on the full data. The sample
  stays a uniform draw of users, and a larger nested sample has the same panel.
- They are exempt from the sample's core, which would keep those with many and popular books only: a panel user trains
  on all interactions with items that the core has kept, and on nothing else, so that the sample's own candidates are
  the same with and without a panel. A user who has none of them is ranked by an untrained vector, and counted.
- The test item is never trained on. Where the sample's core keeps it, it is the user's own last interaction too, as a
  core of a sample lies within the core of all data; where it does not, the own protocol holds out another one.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.bootstrap import BootstrapSample, UserIndex, core_rows, user_rows
from tfdat.data.interactions import Interactions
from tfdat.data.split import split_rows
from tfdat.errors import UserError


@dataclasses.dataclass(frozen=True)
class FullData:
    """What all users have after the filters, the core and the split of a configuration.

    Attributes:
      items: [C] int64 codes of the items in the core, ascending: the panel's candidates.
      held_out: [U] int64 the row of each user's test interaction, -1 for a user without one.
    """

    items: NDArray[np.int64]
    held_out: NDArray[np.int64]

    @classmethod
    def build(cls, interactions: Interactions, index: UserIndex, config: Config) -> FullData:
        """Applies `positives`, `split` and the core of `sampling` to all users.

        Raises:
          UserError: the core of the full data is empty.
        """
        rows, owner, _ = user_rows(interactions, index, config, np.arange(interactions.num_users))
        rows, owner, split = core_rows(interactions, rows, owner, config)
        if not len(rows):
            raise UserError(
                f"{interactions.name}: nothing is left of the full data after the "
                f"{config.sampling.min_user}/{config.sampling.min_item}-core, so there is no panel. "
                "Lower sampling.min_user and sampling.min_item."
            )
        test = (split or split_rows(interactions, rows, owner, config.split)).test.copy()
        if config.split.unseen_items == "drop":
            degree = np.bincount(interactions.item[rows[~test]], minlength=interactions.num_items)
            test &= degree[interactions.item[rows]] > 0
        held_out = np.full(interactions.num_users, -1, dtype=np.int64)
        held_out[owner[test]] = rows[test]
        return cls(np.unique(interactions.item[rows]).astype(np.int64), held_out)

    def eligible(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `users` who have a test item, in their order."""
        return users[self.held_out[users] >= 0]


@dataclasses.dataclass(frozen=True)
class PanelDraw:
    """The panel of one sample, in the data set's codes.

    Attributes:
      users: [p] ascending.
      held_out: [p] rows of their test interactions.
      candidates: [C] codes of the items that are ranked, ascending.
      rows, owner: [k] the training rows, and their users, of panel users whom the sample's core dropped.
    """

    users: NDArray[np.int64]
    held_out: NDArray[np.int64]
    candidates: NDArray[np.int64]
    rows: NDArray[np.int64]
    owner: NDArray[np.int64]


def draw_panel(
    interactions: Interactions, index: UserIndex, config: Config, sample: BootstrapSample, full: FullData
) -> PanelDraw:
    """The panel of `sample`.

    Raises:
      UserError: too few of the drawn users have a test item on the full data.
    """
    eligible = full.eligible(sample.drawn)
    wanted = config.evaluation.panel_users
    if len(eligible) < wanted:
        raise UserError(
            f"{interactions.name}: evaluation.panel_users={wanted:,}, but only {len(eligible):,} of the "
            f"{len(sample.drawn):,} drawn users have a test item on the full data. Lower evaluation.panel_users or "
            "raise sampling.user_fraction."
        )
    users = np.sort(eligible[:wanted])
    held_out = full.held_out[users]
    dropped = np.setdiff1d(users, sample.owner)
    rows, position, _ = user_rows(interactions, index, config, dropped)
    trained = np.isin(interactions.item[rows], interactions.item[sample.rows]) & ~np.isin(rows, held_out)
    return PanelDraw(users, held_out, full.items, rows[trained], dropped[position[trained]])
