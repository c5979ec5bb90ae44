"""Every decision about the data, as a typed field with its reason. No TensorFlow here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

Release = Literal["2014", "2018", "2023"]
Order = Literal["fixpoint", "users_then_items", "items_then_users", "off"]
RequiredField = Literal["category", "price"]


def choice(
    default: Any,
    *,
    number: int,
    paper: str,
    source: Literal["stated", "read", "ours"],
    reason: str,
    alternatives: tuple[Any, ...] = (),
) -> Any:
    """A dataclass field for one decision.

    Args:
      default: the value of config `final`.
      number: the row of the ledger of decisions; several fields may share a row.
      paper: what the paper says, or "not stated".
      source: `stated` by the paper, our reading (`read`) of it, or `ours` where it is silent.
      reason: one sentence on why the default is what it is.
      alternatives: other values worth building.
    """
    metadata = {"number": number, "paper": paper, "source": source, "reason": reason, "alternatives": alternatives}
    return dataclasses.field(default=default, metadata=metadata, kw_only=True)


@dataclasses.dataclass
class Choices:
    """What is read, what is filled, what is dropped. The defaults are those of config `final`.

    Raises:
      ValueError: a field has the wrong type or an impossible value.
    """

    root_category: str = choice(
        "Books",
        number=37,
        source="stated",
        paper="the Amazon Books data set",
        reason="a category path counts when it begins with this name; its second element is the category",
        alternatives=("Digital Music",),
    )
    file_stem: str = choice(
        "Books",
        number=37,
        source="stated",
        paper="the 5-core version of the book reviews",
        reason="the files are reviews_<stem>_5.json.gz and meta_<stem>.json.gz",
        alternatives=("Digital_Music",),
    )
    category_order: tuple[Release, ...] = choice(
        ("2014", "2018", "2023"),
        number=37,
        source="stated",
        paper="left-joining the missing categories from the 2018 and 2023 versions",
        reason="the first release that knows the category wins; a release left out of both orders is not read",
        alternatives=(("2014",), ("2023", "2018", "2014")),
    )
    price_order: tuple[Release, ...] = choice(
        ("2014", "2018", "2023"),
        number=39,
        source="ours",
        paper="not stated: only categories are said to be filled",
        reason="the release of the reviews first, whose prices are of their time; later ones fill what is missing",
        alternatives=(("2014",),),
    )
    top_categories: PositiveInt | None = choice(
        11,
        number=38,
        source="stated",
        paper="the top 11 most represented categories",
        reason="as stated; ties go by name",
        alternatives=(None,),
    )
    top_by: Literal["interactions", "items"] = choice(
        "interactions",
        number=38,
        source="ours",
        paper="'most represented': by what is not stated",
        reason="interactions are what the model sees",
        alternatives=("items",),
    )
    required_fields: tuple[RequiredField, ...] = choice(
        ("category", "price"),
        number=39,
        source="ours",
        paper="'removed all interactions with missing values': of which fields is not stated",
        reason="the two fields of an item that the model uses and that can be missing",
        alternatives=(("category",), ()),
    )
    exact_duplicates: Literal["drop", "keep"] = choice(
        "drop",
        number=30,
        source="ours",
        paper="not stated",
        reason="the same row twice is one review",
        alternatives=("keep",),
    )
    repeats: Literal["keep_last", "keep_all"] = choice(
        "keep_last",
        number=30,
        source="ours",
        paper="not stated",
        reason="a user's repeated reviews of an item are one interaction, the last; a core counts distinct partners",
        alternatives=("keep_all",),
    )
    min_user: PositiveInt = choice(
        5, number=27, source="stated", paper="at least 5 interactions", reason="as stated", alternatives=(3,)
    )
    min_item: PositiveInt = choice(
        5, number=27, source="stated", paper="at least 5 interactions", reason="as stated", alternatives=(3,)
    )
    core: Order = choice(
        "fixpoint",
        number=27,
        source="ours",
        paper="'an additional filtering step': whether it is iterated is not stated",
        reason="only the fixpoint meets both constraints",
        alternatives=("users_then_items", "items_then_users", "off"),
    )
    max_rejected: Annotated[float, Field(ge=0, le=1)] = choice(
        0.01,
        number=53,
        source="ours",
        paper="not stated",
        reason="a file with more broken lines than this share is not the file that it should be",
        alternatives=(0.05,),
    )
    allow_truncated: bool = choice(
        False,
        number=53,
        source="ours",
        paper="not stated",
        reason="a gzip stream that ends early is a broken download; True reads the whole lines before the cut",
        alternatives=(True,),
    )
    synthetic_scale: Annotated[float, Field(gt=0, le=1)] | None = choice(
        None,
        number=52,
        source="ours",
        paper="-",
        reason="when set, the raw files are generated at this share of the real size instead of read",
        alternatives=(0.02, 1.0),
    )
    synthetic_seed: NonNegativeInt = choice(
        0, number=52, source="ours", paper="-", reason="read only with `synthetic_scale`", alternatives=(1,)
    )

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(Choices, include_extras=True)
        for field in dataclasses.fields(Choices):
            value = getattr(self, field.name)
            value = tuple(value) if isinstance(value, list) else value
            setattr(self, field.name, _validated(field.name, hints[field.name], value))
        for name in ("root_category", "file_stem"):
            text = getattr(self, name)
            if not text or "/" in text or text.startswith("."):
                raise ValueError(f"`{name}` should be a plain name such as 'Books'. Received: {text!r}.")

    @property
    def releases(self) -> tuple[str, ...]:
        """The metadata releases that are read, oldest first."""
        return tuple(sorted({*self.category_order, *self.price_order}))


def decisions(values: Choices | None = None) -> dict[str, Any]:
    """The fields of `values` (the defaults without it) as plain JSON types, in the order of declaration."""
    values = values or Choices()
    plain = {field.name: getattr(values, field.name) for field in dataclasses.fields(Choices)}
    loaded: dict[str, Any] = json.loads(json.dumps(plain))
    return loaded


def fingerprint(values: Choices, sources: dict[str, str], version: str) -> str:
    """sha256 (hex) of the decisions, of the sources' own sums `{file: sha256}` and of the builder's version."""
    text = json.dumps({"choices": decisions(values), "sources": sources, "version": version}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _validated(name: str, annotation: Any, value: Any) -> Any:
    try:
        return TypeAdapter(annotation).validate_python(value, strict=not isinstance(value, int))
    except ValidationError as error:
        raise ValueError(f"`{name}`: {error.errors()[0]['msg']}. Received: {value!r}.") from None
