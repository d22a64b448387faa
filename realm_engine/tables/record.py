"""What made the rows of a score table, and the record beside a finished one that says so, `<name>.run.json`.

The record names the run (bundle, manifest, precision), the table's own checksum, and of every picture the size and
the time of its last change. A table without a record that fits it has an unknown origin: nothing is added to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from realm_engine.errors import OutputError
from realm_engine.machine.files import followed, sha256_of
from realm_engine.machine.packages import engine_version

FORMAT_VERSION = 1
CURE = "--resume=restart begins anew"

Picture: TypeAlias = tuple[int, int]
"""What tells a picture file from one that replaced it: size in bytes, time of the last change in ns."""


def record_path(output: Path) -> Path:
    """Where the record of a finished table lies: beside the file itself, where `output` is a link to one."""
    output = followed(output)
    return output.with_name(output.name + ".run.json")


def picture_of(path: Path) -> Picture | None:
    """The picture that lies at `path` now; None if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def run_header(run: Mapping[str, str]) -> dict[str, Any]:
    """How records and journals begin. The engine's version is for information: no two runs differ by it."""
    return {"format_version": FORMAT_VERSION, "engine": engine_version(), "run": dict(run)}


def check_header(path: Path, header: Mapping[str, Any], run: Mapping[str, str]) -> None:
    """Compare the run that a record or journal at `path` names with the present one.

    Raises:
        OutputError: it was another run; the message names what differs.
        KeyError, TypeError, AttributeError: it is no header.
    """
    if header["format_version"] != FORMAT_VERSION:
        raise OutputError(
            f"{path}: has format {header['format_version']}, this engine reads {FORMAT_VERSION}; {CURE}"
        )
    then = header["run"]
    differs = ", ".join(
        f"{key} {then.get(key)} then, {run.get(key)} now"
        for key in dict.fromkeys([*run, *then])
        if then.get(key) != run.get(key)
    )
    if differs:
        raise OutputError(f"{path}: made by another run ({differs}); {CURE}, another --output keeps both")


def table_record(
    run: Mapping[str, str], table_sha256: str, pictures: Iterable[tuple[str, Picture]]
) -> Iterator[bytes]:
    """The record of a finished table, in parts: the run, the table's checksum, and the pictures by file name."""
    yield json.dumps({**run_header(run), "table_sha256": table_sha256})[:-1].encode("ascii")
    before = ', "pictures": {'
    for name, picture in pictures:
        yield f"{before}{json.dumps(name)}: {json.dumps(picture)}".encode("ascii")
        before = ", "
    yield (b"" if before == ", " else before.encode("ascii")) + b"}}\n"


def read_record(
    output: Path, run: Mapping[str, str], written_again: Callable[[], Iterable[bytes]]
) -> tuple[dict[str, Picture], bool]:
    """The pictures behind the rows of a finished table, after proof that this run made the table as it is.

    And whether its bytes are still those that the run wrote.

    `written_again`: the table, in parts, as its rows would be written now. What a program saved again, with a mark,
    other separators or line ends, is the same table while it holds the same.

    Raises:
        OutputError: there is no record, it cannot be read, it is that of another run or of another table.
    """
    path = record_path(output)
    try:
        record = json.loads(path.read_bytes())
        check_header(path, record, run)
        digest = str(record["table_sha256"])
        pictures = {name: read_picture(entry) for name, entry in record["pictures"].items()}
    except FileNotFoundError:
        raise OutputError(f"{output}: nothing says what made it ({path.name} is missing); {CURE}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{path}: cannot be read as the record of a table; {CURE}") from error
    same_bytes = digest == sha256_of(output)
    if not same_bytes and digest != _sha256_of_parts(written_again()):
        raise OutputError(
            f"{output}: changed since {path.name} was written, its rows may be of any run; {CURE}"
        )
    return pictures, same_bytes


def _sha256_of_parts(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def read_picture(entry: Any) -> Picture:
    """A picture as JSON holds it. Raises ValueError and TypeError."""
    size_bytes, changed_ns = entry
    return int(size_bytes), int(changed_ns)
