"""Decode an HdrHistogram interval log into sparse arrays, all lines at once.

`hdrh` decodes one histogram at a time into 20,000 counters and looks percentiles up in a Python loop; a run of 3,000
seconds has 18,000 histograms with some 300 counters in use each. Here the payloads (HdrHistogram's V2 encoding: zlib
around ZigZag LEB128 numbers, a negative one being a run of zeros) are decoded by numpy in batches, and only the
counters in use are kept. `benchmarks/report_speed.py` compares the two.

A payload may come from anywhere, and 100 bytes of it can be made to hold 18,000 counters: each is held to what the
format can take, and all together to what honest ones of as many bytes hold.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.uint16]
Counts = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float64]

SUB_BUCKET_BITS = 10
"""Half the sub-buckets of three significant digits, as a power of two: 2,048 of them, 1,024 in each further bucket."""

_WRAPPER = struct.Struct(">II")  # cookie, length of the compressed payload
_HEADER = struct.Struct(">IIIIQQd")  # cookie, length, index offset, digits, lowest, highest, conversion ratio
_WRAPPER_COOKIE = 0x1C849304
_PAYLOAD_COOKIE = 0x1C849303
COUNTERS = 18_432
"""Of a histogram from 1 us to 120 s with three digits: 1,024 in each of 17 buckets, and 1,024 more in the first."""
_MOST_COUNT = (1 << 32) - 1
_NUMBER_BYTES = 5  # LEB128 of a count below 2^32, doubled for its sign
MOST_BYTES = _HEADER.size + COUNTERS * _NUMBER_BYTES
"""Of a payload, decompressed."""
MOST_TEXT_BYTES = (_WRAPPER.size + MOST_BYTES + 128) * 4 // 3 + 4
"""Of its base64 text: zlib adds less than 128 bytes to what it cannot compress."""
_BATCH, _BATCH_BYTES = 2_000, 1 << 20
_MERGED_AT_ONCE = 1 << 20


class PayloadError(ValueError):
    """A histogram that cannot be decoded; the message says why."""


def highest_equivalent(index: npt.NDArray[np.integer]) -> Ints:
    """The largest value (microseconds) that is counted at `index`."""
    wide = index.astype(np.int64)
    bucket = np.maximum((wide >> SUB_BUCKET_BITS) - 1, 0)
    sub = np.where(wide < 2 << SUB_BUCKET_BITS, wide, (wide & ((1 << SUB_BUCKET_BITS) - 1)) + (1 << SUB_BUCKET_BITS))
    return (((sub + 1) << bucket) - 1).astype(np.int64)


def rank(quantile: float, count: npt.NDArray[np.integer]) -> Ints:
    """How many of `count` values are at or below the quantile: the nearest rank, at least one."""
    return np.maximum(np.ceil(quantile * count.astype(np.float64) - 1e-9).astype(np.int64), 1)


@dataclass(frozen=True)
class Histograms:
    """One series: for each row (a planned second) the counters in use, side by side.

    Row r owns `index[starts[r]:starts[r + 1]]` and as much of `count`. Merging rows adds counters, so percentiles of
    any window are those of all its values, never an average of percentiles.
    """

    starts: Ints
    index: Indices
    count: Counts

    def _running(self) -> Counts:
        """The values counted up to and including each counter, over all rows; one zero in front.

        Not kept, because it is as large as the counters; `Decoder` sees to it that the sum fits.
        """
        running = np.zeros(len(self.count) + 1, np.uint32)
        np.cumsum(self.count, dtype=np.uint32, out=running[1:])
        return running

    @cached_property
    def totals(self) -> Ints:
        """How many values each row holds."""
        running = self._running()
        return running[self.starts[1:]].astype(np.int64) - running[self.starts[:-1]]

    def per_row(self, quantile: float, beyond: Ints | None = None, beyond_us: int = 0) -> Floats:
        """The quantile of every row in microseconds, NaN for an empty row.

        `beyond` values per row are taken to be `beyond_us` each: the arrivals without a good reply.
        """
        held = self.totals
        count = held if beyond is None else held + beyond
        ranks = rank(quantile, count)
        inside = (ranks <= held) & (count > 0)
        running = self._running()
        sought = running[self.starts[:-1]].astype(np.int64) + np.minimum(ranks, held)
        place = np.searchsorted(running, sought.astype(np.uint32), "left") - 1
        values = np.full(len(held), np.nan)
        if len(self.index):
            values[inside] = highest_equivalent(self.index[place[inside]])
        values[(count > 0) & ~inside] = beyond_us
        return values

    def above(self, value_us: float) -> Ints:
        """How many values of every row are above `value_us`, to the histogram's three digits."""
        first = np.searchsorted(highest_equivalent(np.arange(COUNTERS)), value_us, "right")
        running = np.zeros(len(self.count) + 1, np.uint32)
        running[1:] = np.where(self.index >= first, self.count, 0)
        np.cumsum(running, dtype=np.uint32, out=running)
        return running[self.starts[1:]].astype(np.int64) - running[self.starts[:-1]]

    def merged(self, rows: npt.NDArray[np.bool_]) -> "Merged":
        """All values of the rows where `rows` is true."""
        chosen = np.flatnonzero(rows)
        begins, ends = self.starts[chosen], self.starts[chosen + 1]
        reach = np.cumsum(ends - begins)
        counts = np.zeros(COUNTERS)
        at = 0
        while at < len(chosen):
            until = int(np.searchsorted(reach, (reach[at - 1] if at else 0) + _MERGED_AT_ONCE, "right"))
            until = max(until, at + 1)
            places = _places(begins[at:until], ends[at:until])
            counts += np.bincount(self.index[places], weights=self.count[places], minlength=COUNTERS)
            at = until
        index = np.flatnonzero(counts)
        return Merged(highest_equivalent(index), counts[index].astype(np.int64))


def _places(begins: Ints, ends: Ints) -> slice | Ints:
    """The places from each begin to its end, one range after the other."""
    if (begins[1:] == ends[:-1]).all():
        return slice(int(begins[0]), int(ends[-1]))
    lengths = ends - begins
    return np.arange(lengths.sum()) + np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)


@dataclass(frozen=True)
class Merged:
    """The values of several rows together: `values_us` ascending, `counts` of each."""

    values_us: Ints
    counts: Ints

    @cached_property
    def total(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    def with_beyond(self, count: int, value_us: int) -> "Merged":
        """The same with `count` more values of `value_us`."""
        if count <= 0:
            return self
        place = int(np.searchsorted(self.values_us, value_us, "right"))
        return Merged(np.insert(self.values_us, place, value_us), np.insert(self.counts, place, count))

    def above(self, value_us: float) -> int:
        """How many values are above `value_us`, to the histogram's three digits."""
        return int(self.counts[np.searchsorted(self.values_us, value_us, "right") :].sum())

    def quantile_us(self, quantile: float) -> float:
        """The nearest-rank quantile in microseconds; NaN when there is no value."""
        if self.total == 0:
            return float("nan")
        place = rank(quantile, np.array([self.total]))[0]
        return float(self.values_us[np.searchsorted(np.cumsum(self.counts), place, "left")])


def unwrap(text: bytes) -> bytes:
    """The encoded counters of one base64 payload, checked as far as its headers and its length go.

    Raises:
        PayloadError: it is damaged, or of a precision that the run folder does not use.
    """
    body = _decompressed(text)
    cookie, payload_length, offset, digits, lowest, _highest, _ratio = _HEADER.unpack_from(body)
    if cookie & ~0xF0 != _PAYLOAD_COOKIE:
        raise PayloadError("not a V2 histogram")
    if (digits, lowest, offset) != (3, 1, 0):
        raise PayloadError(f"{digits} digits from {lowest} us, not 3 from 1")
    counters = body[_HEADER.size : _HEADER.size + payload_length]
    if len(counters) != payload_length or (counters and counters[-1] >= 0x80):
        raise PayloadError("its counters are cut short")
    return counters


def _decompressed(text: bytes) -> bytes:
    """What a base64 payload holds in its compressed part; no more of it is decompressed than a histogram can have."""
    if len(text) > MOST_TEXT_BYTES:
        raise PayloadError("longer than a histogram can be")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError("not base64") from None
    if len(raw) < _WRAPPER.size:
        raise PayloadError("cut short")
    cookie, length = _WRAPPER.unpack_from(raw)
    if cookie & ~0xF0 != _WRAPPER_COOKIE:
        raise PayloadError("not a compressed V2 histogram")
    if length != len(raw) - _WRAPPER.size:
        raise PayloadError("cut short")
    unzip = zlib.decompressobj()
    try:
        body = unzip.decompress(raw[_WRAPPER.size :], MOST_BYTES + 1)
    except zlib.error:
        raise PayloadError("its compressed part is damaged") from None
    if not _HEADER.size <= len(body) <= MOST_BYTES or not unzip.eof:
        raise PayloadError("its compressed part is cut short or too large")
    return body


def most_counters(file_bytes: int) -> int:
    """How many counters a file's histograms may hold together.

    An honest file has up to one for each of its bytes; 50 MB of them are eight hours of 900 arrivals a second.
    """
    return max(min(file_bytes + 2_000_000, 24_000_000), file_bytes * 5 // 8)


class Decoder:
    """Takes the histograms of one series, one after the other, and builds `Histograms`.

    Args:
        budget: shared by the series of a file.
    """

    def __init__(self, budget: "Allowance") -> None:
        self._budget = budget
        self._waiting: list[tuple[int, int, bytes]] = []
        self._waiting_bytes = 0
        self._rows: list[int] = []
        self._lengths: list[Ints] = []
        self._index: list[Indices] = []
        self._count: list[Counts] = []
        self._values = 0
        self.wrong: list[int] = []
        """Lines whose histogram was left out, because its counters cannot be."""

    def add(self, place: int, row: int, counters: bytes) -> None:
        """The histogram of a row, from a line of the file; `counters` is what `unwrap` gave.

        Raises:
            TooMuchError: the file's histograms hold too much.
        """
        self._budget.spend_bytes(len(counters))
        self._waiting.append((place, row, counters))
        self._waiting_bytes += len(counters)
        if self._waiting_bytes > _BATCH_BYTES or len(self._waiting) > _BATCH:
            self._decode()

    def _decode(self) -> None:
        decoded = _decode([counters for *_, counters in self._waiting])
        for (place, row, _), good in zip(self._waiting, decoded.good, strict=True):
            if good:
                self._rows.append(row)
            else:
                self.wrong.append(place)
        self._waiting, self._waiting_bytes = [], 0
        self._lengths.append(decoded.lengths[decoded.good])
        self._index.append(decoded.index)
        self._count.append(decoded.count)
        self._values += int(decoded.count.sum(dtype=np.int64))
        self._budget.spend_counters(len(decoded.index))
        if self._values > _MOST_COUNT:
            raise TooMuchError(f"holds more than {_MOST_COUNT:,} values of one series")

    def finish(self, row_count: int) -> Histograms:
        """The histograms, for rows 0 to `row_count` - 1; two of the same row are added.

        Raises:
            TooMuchError: the file's histograms hold too much.
        """
        if self._waiting:
            self._decode()
        lengths = _joined(self._lengths, np.int64)
        index, count = _joined(self._index, np.uint16), _joined(self._count, np.uint32)
        rows = np.array(self._rows, dtype=np.int64)
        if (np.diff(rows) <= 0).any():
            rows, lengths, index, count = _in_order(rows, lengths, index, count)
        per_row = np.zeros(row_count + 1, np.int64)
        per_row[rows + 1] = lengths
        return Histograms(np.cumsum(per_row), index, count)


def build(rows: Sequence[int], payloads: Sequence[bytes], row_count: int) -> Histograms:
    """The histograms of one series from payloads that can be; two of the same row are added.

    Args:
        rows: the row of each payload.
        payloads: what `unwrap` gave.
        row_count: how many rows there are in all.
    """
    decoder = Decoder(Allowance(sum(map(len, payloads))))
    for place, (row, payload) in enumerate(zip(rows, payloads, strict=True)):
        decoder.add(place, row, payload)
    return decoder.finish(row_count)


class TooMuchError(ValueError):
    """Histograms that hold more than a report can work with; the message goes on after the file's name."""


@dataclass
class Allowance:
    """What the histograms of one file may hold together."""

    file_bytes: int
    counters: int = field(default=0)
    bytes: int = field(default=0)

    def spend_counters(self, count: int) -> None:
        """Count counters in use."""
        self.counters += count
        if self.counters > (most := most_counters(self.file_bytes)):
            raise TooMuchError(f"holds more than {most:,} counters")

    def spend_bytes(self, count: int) -> None:
        """Count decompressed bytes: honest ones are about as many as those of the file."""
        self.bytes += count
        if self.bytes > (most := 2 * most_counters(self.file_bytes)):
            raise TooMuchError(f"holds more than {most:,} bytes of histograms")


def _joined(parts: list[Any], kind: Any) -> Any:
    """One array in place of its parts."""
    whole = np.concatenate(parts) if parts else np.zeros(0, kind)
    parts.clear()
    return whole


def _in_order(rows: Ints, lengths: Ints, index: Indices, count: Counts) -> tuple[Ints, Ints, Indices, Counts]:
    """Histograms by ascending row, those of the same row added."""
    ends = np.cumsum(lengths)
    begins = ends - lengths
    order = np.argsort(rows, kind="stable")
    parts: list[tuple[Indices, Counts]] = []
    different: list[int] = []
    at = 0
    while at < len(order):
        row = rows[order[at]]
        same = [order[at]]
        while (at := at + 1) < len(order) and rows[order[at]] == row:
            same.append(order[at])
        part = (index[begins[same[0]] : ends[same[0]]], count[begins[same[0]] : ends[same[0]]])
        if len(same) > 1:
            sums = np.zeros(COUNTERS)
            for place in same:
                piece = slice(begins[place], ends[place])
                sums[index[piece]] += count[piece]
            used = np.flatnonzero(sums)
            part = (used.astype(np.uint16), sums[used].astype(np.uint32))
        different.append(int(row))
        parts.append(part)
    lengths = np.array([len(part[0]) for part in parts], dtype=np.int64)
    joined_index = np.concatenate([part[0] for part in parts])
    return np.array(different), lengths, joined_index, np.concatenate([part[1] for part in parts])


@dataclass(frozen=True)
class _Decoded:
    """Of several histograms: whether each can be, how many counters it uses, and the counters of the good ones."""

    good: npt.NDArray[np.bool_]
    lengths: Ints
    index: Indices
    count: Counts


def _decode(payloads: Sequence[bytes]) -> _Decoded:
    """Payloads end on a whole number, so they can be joined."""
    sizes = np.array([len(payload) for payload in payloads], dtype=np.int64)
    stream = np.frombuffer(b"".join(payloads), dtype=np.uint8)
    ends = np.flatnonzero(stream < 0x80)
    if not len(ends):
        none = np.zeros(0, np.int64)
        return _Decoded(sizes == 0, np.zeros(len(sizes), np.int64), none.astype(np.uint16), none.astype(np.uint32))
    begins = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    lengths = ends - begins + 1
    numbers = stream[begins].astype(np.int64) & 0x7F
    for place in range(1, min(int(lengths.max()), _NUMBER_BYTES)):
        longer = lengths > place
        numbers[longer] |= (stream[begins[longer] + place].astype(np.int64) & 0x7F) << (7 * place)
    numbers = (numbers >> 1) ^ -(numbers & 1)

    owner = np.repeat(np.arange(len(sizes)), sizes)[begins]
    widths = np.where(numbers < 0, -numbers, 1)
    before = np.cumsum(widths) - widths
    first_of_owner = np.searchsorted(owner, np.arange(len(sizes)), "left")
    base = before[np.minimum(first_of_owner, len(before) - 1)]
    index = before - base[owner]
    impossible = (lengths > _NUMBER_BYTES) | (numbers > _MOST_COUNT) | (index + widths > COUNTERS)
    good = np.bincount(owner[impossible], minlength=len(sizes)) == 0
    used = (numbers > 0) & good[owner]
    in_use = np.bincount(owner[used], minlength=len(sizes)).astype(np.int64)
    return _Decoded(good, in_use, index[used].astype(np.uint16), numbers[used].astype(np.uint32))
