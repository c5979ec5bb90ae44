"""What the files of findings share: parts that check themselves, and the reading of a whole file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tfdat.errors import UserError, printable


class Part(BaseModel):
    """Base of a file's parts: frozen, numbers finite, what a later version adds ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Document = TypeVar("Document", bound=Part)


def read_document(kind: type[Document], path: Path, command: str) -> Document:
    """Reads a file of `kind`, which `command` writes.

    Raises:
      FileNotFoundError: there is none.
      UserError: it is damaged, or not one of tfdat's; one line that names the file and the field.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = printable(f"{path}: {f'`{where}`: ' if where else ''}{first['msg']}")
        raise UserError(f"{message}. The same `{command}` rewrites it.") from None
