"""Delivered text: CSV, plain or gzip, read exactly and with bounded memory.

What belongs here: the header, the scan that DuckDB reads a sound file by, and what DuckDB does not
look at: whether the text goes to its end. What its columns mean is in `dialect.py`.
"""

from __future__ import annotations

import codecs
import csv
import errno
import gzip
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import IO, Any, cast

from isal import igzip, isal_zlib

from .errors import UnreadableFile
from .transports import Item
from .warehouse import literal

NOT_PACKED = cast("type[Exception]", isal_zlib.error)
"""The stub has an instance where there is a class."""
NO_TEXT = (csv.Error, OSError, EOFError, UnicodeError, zlib.error, NOT_PACKED)
UNPACKED_TIMES = 50
"""How much larger than its gzip file a bill is held; bills are 5 to 20 times larger."""
LONGEST_RECORD = 2**21
"""Characters of a CSV record; a longer one is no bill, and is not held in memory. DuckDB's own."""
PIECE = 2**17
"""Bytes of a text that are looked at in one go: they stay in the processor's cache."""


def header(item: Item, local: Path) -> tuple[list[str], int]:
    """The header of a CSV file (plain or gzip), read exactly, and the lines it takes."""
    try:
        with _open(local) as file:
            reader = csv.reader(_Lines(file), strict=True)
            names = next(reader, None)
            skip = reader.line_num
    except NO_TEXT as error:
        raise UnreadableFile(
            f"{item.address}: not a CSV file ({error}); deliver it again"
        ) from error
    if not names:
        raise UnreadableFile(f"{item.address}: is empty, without even a header; deliver it again")
    return names, skip


def csv_scan(local: Path, refs: Iterable[str], skip: int) -> str:
    """SQL of the records of a sound CSV file, as text, with their numbers in file order."""
    columns = ", ".join(f"'{ref}': 'VARCHAR'" for ref in refs)
    compression = "gzip" if is_gzip(local) else "none"
    scan = (
        f"read_csv({literal(str(local))}, auto_detect = false, header = false, skip = {skip}, "
        f"columns = {{{columns}}}, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = ['', 'NULL'], strict_mode = true, compression = '{compression}', "
        f"max_line_size = {LONGEST_RECORD}, buffer_size = {2 * LONGEST_RECORD})"
    )
    return f"(select *, row_number() over () - 1 as row from {scan}) as delivered"


class Through:
    """A text file that is gone through to its end, and `path`, where DuckDB reads it.

    DuckDB looks at the columns it needs and compares no checksums of gzip, but all must be text.
    It is slower at unpacking, too, and its threads wait for it: what is packed is
    unpacked into `kept` here, first. A plain text, and one that unpacks to more than a bill, is
    read where it lies, and gone through beside that; so is one that is torn, to say where.
    """

    def __init__(self, local: Path, kept: Path, beside: Executor) -> None:
        self.size = 0
        self.path = self._local = local
        self._kept = kept
        self._most = UNPACKED_TIMES * local.stat().st_size if is_gzip(local) else None
        self._settled = threading.Event()
        self._ends = beside.submit(self._gone_through)
        if self._most is not None:
            self._settled.wait()

    @property
    def is_large(self) -> bool:
        """Whether more has come out of it by now than a bill of its size holds."""
        return self._most is not None and self.size > max(2**24, self._most)

    def _gone_through(self) -> bool:
        try:
            if self._most is None:
                return ends_with_a_record(self._local)
            with self._kept.open("wb") as kept:
                ended = ends_with_a_record(self._local, lambda piece: self._passed(piece, kept))
            if not self.is_large:
                self.path = self._kept
            return ended
        finally:
            self._settled.set()

    def _passed(self, piece: bytes, kept: IO[bytes]) -> None:
        self.size += len(piece)
        if not self.is_large:
            kept.write(piece)
        elif not self._settled.is_set():
            kept.truncate(0)
            self._settled.set()

    def await_end(self, item: Item) -> None:
        """Wait for the end; `UnreadableFile` where there is none, or no record ends with it."""
        try:
            if not self._ends.result():
                raise csv.Error(f"the last record has more than {LONGEST_RECORD} characters")
        except NO_TEXT as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise  # the machine, not the file
            raise UnreadableFile(
                f"{item.address}: cannot be read to its end ({error}); deliver it again"
            ) from error


def mended(item: Item, local: Path, kept: Path, width: int) -> None:
    """A CSV file as Parquet text columns c0, c1, ... in file order.

    Records with a wrong number of fields are rows of nulls with a complaint in one more column. A
    torn last record means that more may be missing: the file is refused, with its line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field(f"c{i}", pa.string()) for i in range(width + 1)]
    schema = pa.schema(fields)
    short = 0
    line = 0
    try:
        with _open(local) as file, pq.ParquetWriter(kept, schema) as writer:
            lines = _Lines(file)
            reader = csv.reader(lines, strict=True)
            next(reader)
            batch: list[list[str | None]] = []
            for record in reader:
                line, lines.held = reader.line_num, 0
                short = 0
                if len(record) == width:
                    batch.append([None if f in ("", "NULL") else f for f in record] + [None])
                elif record:
                    short = line if len(record) < width else 0
                    why = f"the record that ends in line {line} has {len(record)} of {width} fields"
                    batch.append([None] * width + [why])
                if len(batch) == 10_000:
                    _write_batch(writer, schema, batch)
                    batch = []
            _write_batch(writer, schema, batch)
    except NO_TEXT as error:
        raise UnreadableFile(
            f"{item.address}: cannot be read after line {line} ({error}); deliver it again"
        ) from error
    if short:
        raise UnreadableFile(
            f"{item.address}: the last line, {short}, is torn, so more may be missing; "
            "deliver it again"
        )


class _Lines:
    """Lines of a text, where no record may be longer than `LONGEST_RECORD`.

    A small file of gzip can hold a line of many gigabytes. `held` is what the reader of records
    has of one that has not ended; whoever gets a record sets it back.
    """

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        self.held = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_RECORD + 1 - self.held)
        self.held += len(line)
        if self.held > LONGEST_RECORD:
            raise csv.Error(f"a record of more than {LONGEST_RECORD} characters")
        if not line:
            raise StopIteration
        return line


def _write_batch(writer: Any, schema: Any, batch: list[list[str | None]]) -> None:
    import pyarrow as pa

    columns = [list(c) for c in zip(*batch, strict=True)] or [[] for _ in schema]
    writer.write_table(
        pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
        )
    )


def ends_with_a_record(local: Path, passed: Callable[[bytes], object] = len) -> bool:
    """Whether the last record is not too long: DuckDB leaves one out that its buffer cannot hold.

    All of the file is gone through, and each piece of it `passed` on.
    """
    size = start = 0  # of the file, and where its last record begins
    ended = False
    decode = codecs.getincrementaldecoder("utf-8")().decode
    # Half the time of the standard library's gzip; its stubs tell no types.
    unpack = cast("Callable[[Path], IO[bytes]]", igzip.IGzipFile)
    with unpack(local) if is_gzip(local) else local.open("rb") as file:
        while chunk := file.read(PIECE):
            decode(chunk)
            passed(chunk)
            record = chunk.rstrip(b"\r\n")
            if record:
                before = max(record.rfind(b"\n"), record.rfind(b"\r"))
                if before >= 0 or ended:
                    start = size + before + 1
                ended = False
            ended = ended or record != chunk
            size += len(chunk)
        decode(b"", final=True)
    return size <= LONGEST_RECORD or size - start <= LONGEST_RECORD + 1


def is_gzip(local: Path) -> bool:
    """Whether a file is gzip, by its first bytes."""
    with local.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(local: Path) -> IO[str]:
    """A CSV file as text, with a byte order mark taken off."""
    if is_gzip(local):
        return gzip.open(local, "rt", encoding="utf-8-sig", newline="")
    return local.open(encoding="utf-8-sig", newline="")
