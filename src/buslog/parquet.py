"""Lines of CSV as a Parquet file, a row group at a time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import csv
from pyarrow.parquet import ParquetWriter

ROW_GROUP = 700_000  # bytes of the lines in a row group: what is held at a time

_TYPES = {"text": pa.string(), "word": pa.string(), "number": pa.int32(), "time": pa.timestamp("us", tz="UTC")}


def written(lines: Iterable[bytes], kinds: Mapping[str, str]) -> Iterator[bytes]:
    """The bytes of a file, each row group as soon as it is full. Without its last bytes a file cannot be read.

    lines: a row each, without a header; nothing between two commas is null, and `""` is the empty text. kinds: `text`,
    `word` (a text that comes again and again), `number` or `time` (ISO 8601 with its zone), by column, in the lines'
    order.
    """
    schema = pa.schema([(column, _TYPES[kind]) for column, kind in kinds.items()])
    sink = _Sink()
    words = [column for column, kind in kinds.items() if kind == "word"]  # a dictionary of the others is a waste
    with ParquetWriter(sink, schema, compression="zstd", use_dictionary=words) as writer:
        for group in _grouped(lines):
            writer.write_table(_read(group, schema))
            yield sink.take()
    yield sink.take()


def _read(group: bytearray, schema: Any) -> Any:
    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(group)),
        read_options=csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=len(group) + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        ),
    )


def _grouped(lines: Iterable[bytes]) -> Iterator[bytearray]:
    group = bytearray()
    for line in lines:
        group += line
        if len(group) >= ROW_GROUP:
            yield group
            group = bytearray()
    if group:
        yield group


class _Sink(io.RawIOBase):
    """What was written, until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._place = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:
        self._written += data
        self._place += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
