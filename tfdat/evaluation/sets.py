"""Evaluation sets: who is tested on what, among which candidates."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tfdat.data.replicate import Replicate
from tfdat.evaluation.ranking import select_rows

Codes = NDArray[np.int32]


class Seen(Protocol):
    """The training items of every user; see `tfdat.data.replicate.Replicate`."""

    @property
    def num_items(self) -> int: ...
    @property
    def seen_indptr(self) -> NDArray[np.int64]: ...
    @property
    def seen_items(self) -> Codes: ...


class Tested(Seen, Protocol):
    """One test item for each of some users."""

    @property
    def test_user(self) -> Codes: ...
    @property
    def test_item(self) -> Codes: ...


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """m test items to rank among C candidates, which may be some of a model's items only.

    Attributes:
      user: [m] local users.
      item: [m] local items, each among the candidates.
      candidates: [C] local items, ascending.
      target: [m] position of each test item among the candidates.
      seen_indptr, seen_items: [m + 1] and [n], positions of the candidates that each user has seen, in CSR form.
    """

    user: Codes
    item: Codes
    candidates: Codes
    target: Codes
    seen_indptr: NDArray[np.int64]
    seen_items: Codes

    @classmethod
    def build(cls, user: Codes, item: Codes, candidates: Codes, seen: Seen) -> EvaluationSet:
        """Gathers what ranking needs.

        Args:
          user, item: [m] the test pairs.
          candidates: [C] local items, ascending.
          seen: what each user has trained on.

        Raises:
          ValueError: a test item is not a candidate.
        """
        position = np.full(seen.num_items, -1, dtype=np.int32)
        position[candidates] = np.arange(len(candidates), dtype=np.int32)
        target = position[item]
        if len(target) and target.min() < 0:
            raise ValueError(f"{int((target < 0).sum())} of {len(target)} test items are not among the candidates.")
        indptr, items = select_rows(seen.seen_indptr, seen.seen_items, user)
        among = position[items] >= 0
        kept = np.concatenate([[0], np.cumsum(among)]).astype(np.int64)
        return cls(user, item, candidates, target, kept[indptr], position[items][among])

    def __len__(self) -> int:
        return len(self.user)


def among_all(replicate: Tested) -> EvaluationSet:
    """The test items of `replicate` among all of its items."""
    return EvaluationSet.build(
        replicate.test_user, replicate.test_item, np.arange(replicate.num_items, dtype=np.int32), replicate
    )


def by_protocol(replicate: Replicate) -> dict[str, EvaluationSet]:
    """What a replicate's models are asked: `own` (`evaluation.candidates`), and `panel` where there is one."""
    own = np.arange(replicate.num_candidates, dtype=np.int32)
    sets = {"own": EvaluationSet.build(replicate.test_user, replicate.test_item, own, replicate)}
    if replicate.panel is not None:
        panel = replicate.panel
        sets["panel"] = EvaluationSet.build(panel.user, panel.item, panel.candidates, replicate)
    return sets
