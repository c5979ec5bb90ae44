"""`python -m tfdat.recommend`: what a kept model recommends to users, as a list, a file or a SavedModel."""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfdat.cli import HelpFormatter, Parser, positive, run_command
from tfdat.errors import UserError, printable, shortened
from tfdat.evaluation.ranking import select_rows
from tfdat.evaluation.top import best
from tfdat.harness.atomic_files import replacing
from tfdat.harness.directory import RunDirectory
from tfdat.harness.kept_model import KeptModel
from tfdat.statistics.names import label

COLUMNS = ("user_id", "rank", "item_id", "score", "title", "category")
"""Of a list; `score` is the inner product of two unit vectors, and empty where popular items are listed instead."""

SHOWN_USERS = 3
"""Users whose list is printed where none is named."""

_DESCRIPTION = """\
List what a model of a run recommends to its users: exactly the order by which the run was evaluated.

  python -m tfdat.recommend RUN                                      the first three users
  python -m tfdat.recommend RUN U17 U90 --k 20 --unseen              two users, without what they know
  python -m tfdat.recommend RUN --users ids.txt --out lists.csv      many users (.csv, .parquet or .jsonl)
  python -m tfdat.recommend RUN --out lists.parquet                  all users
  python -m tfdat.recommend RUN --export saved                       a SavedModel: user IDs in, item IDs and scores out

The SavedModel has the signatures `serving_default` and `unseen`, which leaves out what a user has interacted with.
The run has to keep its models: python -m tfdat.train --keep-models, the default where all of a file is trained on.
A model knows the users and items that it was trained on. Others have no row in its tables, and no sound vector can be
made up for them: --unknown popular lists the most popular items for such users."""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.recommend", description=_DESCRIPTION, formatter_class=HelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument("ids", nargs="*", metavar="ID", help="users")
    parser.add_argument("--users", type=Path, metavar="FILE", help="a file with a user ID on every line")
    parser.add_argument("--variant", metavar="V", help="the model (default: the first that the run keeps)")
    parser.add_argument("--replicate", type=int, default=0, metavar="N", help="the replicate, from 0")
    parser.add_argument("--k", type=positive, default=10, metavar="K", help="items of a list")
    parser.add_argument("--unseen", action="store_true", help="leave out what a user has interacted with")
    parser.add_argument("--unknown", choices=("error", "popular"), default="error", help="what to do for other users")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write .csv, .parquet or .jsonl instead of printing")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write a SavedModel, and end")
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    options = make_parser().parse_args(argv)
    if options.out is not None and options.out.suffix not in WRITERS:
        raise UserError(f"--out should end in {', '.join(WRITERS)}. Received: {shortened(str(options.out))}.")
    variant, model = kept_model(options.run, options.variant, options.replicate)
    if options.export is not None:
        export(model, options.export, options.k)
        print(f"{options.export} holds {label(variant)} as a SavedModel: {len(model.item_names):,} items.")
        return 0
    users = wanted_users(options, model)
    rows = recommended(model, users, options.k, options.unseen)
    if options.out is not None:
        count = write(rows, options.out)
        print(f"{options.out} holds {count:,} rows: the best {options.k} items of {len(users):,} users.")
        return 0
    print(f"{label(variant)}, replicate {options.replicate}: {len(model.item_names):,} items")
    for user, listed in itertools.groupby(rows, lambda row: row[0]):
        print(f"\n{printable(user)}")
        for _, rank, item, score, title, category in listed:
            shown = "popular" if score is None else f"{score:.4f}"
            print("  ".join(part for part in (f"{rank:4d}", shown, *map(_line, (item, title, category))) if part))
    return 0


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def kept_model(run: Path, variant: str | None, number: int) -> tuple[str, KeptModel]:
    """The model that `run` keeps of a variant, the first one if None, and the variant's name.

    Raises:
      UserError: the run keeps no such model; the message names those that it keeps.
    """
    directory = RunDirectory(run)
    if directory.settings() is None:
        raise UserError(f"{run} is not a run directory: it has no config.json.")
    kept = sorted((run / "models").glob("*/*.npz"))
    order = {method: position for position, method in enumerate(directory.extent().methods)}
    names = sorted({path.parent.name for path in kept}, key=lambda name: order.get(name, len(order)))
    if not kept:
        raise UserError(f"{run} keeps no models. Run its training command again with --keep-models.")
    chosen = names[0] if variant is None else variant
    path = next((path for path in kept if (path.parent.name, path.stem) == (chosen, f"{number:03d}")), None)
    if path is None:
        there = ", ".join(f"{path.parent.name} {path.stem}" for path in kept[:6]) + (", ..." if len(kept) > 6 else "")
        raise UserError(f"{run} keeps no model of {shortened(chosen)} {number:03d}. It keeps: {there}.")
    return chosen, KeptModel.load(path)


def wanted_users(options: argparse.Namespace, model: KeptModel) -> list[str]:
    """The IDs that are asked for, each once; without any all users if a file is written, else the first few.

    Raises:
      UserError: an ID that the model does not know, unless these are to get popular items.
    """
    asked = list(options.ids)
    if options.users is not None:
        try:
            lines = options.users.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError(f"{options.users} is not UTF-8 text with a user ID on every line.") from None
        asked += [line.strip() for line in lines if line.strip()]
        if not asked:
            raise UserError(f"{options.users} holds no user ID.")
    if not asked:
        return list(dict.fromkeys(model.user_names[: None if options.out else SHOWN_USERS]))
    known = set(model.user_names)
    unknown = [user for user in asked if user not in known]
    if unknown and options.unknown == "error":
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(
            f"The model does not know user {shortened(unknown[0])}{more}: it was not trained on such interactions. "
            "Leave it out, or list popular items with --unknown popular."
        )
    return list(dict.fromkeys(asked))


Row = tuple[str, int, str, float | None, str, str]
"""One recommendation: `COLUMNS`."""


def recommended(model: KeptModel, users: Sequence[str], k: int, unseen: bool) -> Iterator[Row]:
    """The lists of `users`, in that order; one that the model does not know gets the most popular items.

    Where several rows of a model are one user (`sampling.duplicates=clone`), the first counts.
    """
    code = {name: row for row, name in reversed(list(enumerate(model.user_names)))}
    popular = np.argsort(-model.popularity, kind="stable")[:k]
    for start in range(0, len(users), 4096):
        part = users[start : start + 4096]
        known = np.array([code[user] for user in part if user in code], dtype=np.int64)
        lists = _lists(model, known, k, unseen)
        for user in part:
            listed = lists.get(code[user], ()) if user in code else ((int(item), None) for item in popular)
            for rank, (item, score) in enumerate(listed, start=1):
                about = model.item_titles[item], model.item_categories[item]
                yield user, rank, model.item_names[item], score, *about


def _lists(model: KeptModel, rows: np.ndarray[Any, Any], k: int, unseen: bool) -> dict[int, list[tuple[int, float]]]:
    hidden = select_rows(model.seen_indptr, model.seen_items, rows) if unseen else None
    lists: dict[int, list[tuple[int, float]]] = {}
    for block in best(model.user_vectors[rows], model.item_vectors, k, hidden) if len(rows) else ():
        for row, item, score in zip(block.row.tolist(), block.item.tolist(), block.score.tolist(), strict=True):
            lists.setdefault(int(rows[row]), []).append((item, score))
    return lists


def write(rows: Iterator[Row], path: Path) -> int:
    """Writes a file, all of it or nothing, in the format of its ending; returns the number of rows."""
    with replacing(path) as file:
        return WRITERS[path.suffix](rows, file)


def _write_csv(rows: Iterator[Row], file: IO[bytes]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer, count = csv.writer(text, lineterminator="\n"), 0
    writer.writerow(COLUMNS)
    for count, row in enumerate(rows, start=1):  # noqa: B007
        writer.writerow(["" if cell is None else cell for cell in row])
    text.detach()
    return count


def _write_json_lines(rows: Iterator[Row], file: IO[bytes]) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007
        file.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False).encode() + b"\n")
    return count


def _write_parquet(rows: Iterator[Row], file: IO[bytes]) -> int:
    import polars as pl

    types = dict(zip(COLUMNS, (pl.String, pl.Int32, pl.String, pl.Float64, pl.String, pl.String), strict=True))
    frame = pl.DataFrame(list(rows), schema=types, orient="row")
    frame.write_parquet(file)
    return frame.height


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet, ".jsonl": _write_json_lines}
"""Who writes a file, by its ending."""


def export(model: KeptModel, directory: Path, k: int) -> None:
    """Writes the SavedModel of `tfdat.model.serving`.

    Raises:
      UserError: `directory` is there already.
    """
    if directory.exists():
        raise UserError(f"{directory} exists already: remove it, or export to another folder.")
    from tfdat.model.serving import Recommender, export_recommender

    seen = model.seen_indptr, model.seen_items
    vectors = model.user_vectors, model.item_vectors
    export_recommender(Recommender(*vectors, model.user_names, model.item_names, *seen, k=k), directory)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
