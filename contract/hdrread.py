"""Decode an HdrHistogram interval log into sparse arrays, all lines at once.

`hdrh` decodes one histogram at a time into 20,000 counters and looks percentiles up in a Python loop; a run of 3,000
seconds has 18,000 histograms with some 300 counters in use each. Here the payloads (HdrHistogram's V2 encoding: zlib
around ZigZag LEB128 numbers, a negative one being a run of zeros) are decoded by numpy in batches, and only the
counters in use are kept. `benchmarks/report_speed.py` compares the two.
"""

import base64
import binascii
import itertools
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SUB_BUCKET_BITS = 10
"""Half the sub-buckets of three significant digits, as a power of two: 2,048 of them, 1,024 in each further bucket."""

_WRAPPER = struct.Struct(">II")  # cookie, length of the compressed payload
_HEADER = struct.Struct(">IIIIQQd")  # cookie, length, index offset, digits, lowest, highest, conversion ratio
_WRAPPER_COOKIE = 0x1C849304
_PAYLOAD_COOKIE = 0x1C849303
_MAX_INDEX = 65_535  # far above the 20,000 counters that 120 s in microseconds take; anything beyond is damage
_MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
_BATCH = 2_000


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
    index: npt.NDArray[np.uint16]
    count: npt.NDArray[np.uint32]

    @cached_property
    def _running(self) -> Ints:
        """The values counted up to and including each counter, over all rows; one zero in front."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.count, dtype=np.int64)])

    @cached_property
    def totals(self) -> Ints:
        """How many values each row holds."""
        return self._running[self.starts[1:]] - self._running[self.starts[:-1]]

    def per_row(self, quantile: float, beyond: Ints | None = None, beyond_us: int = 0) -> Floats:
        """The quantile of every row in microseconds, NaN for an empty row.

        `beyond` values per row are taken to be `beyond_us` each: the arrivals without a good reply.
        """
        held = self.totals
        count = held if beyond is None else held + beyond
        ranks = rank(quantile, count)
        inside = (ranks <= held) & (count > 0)
        place = np.searchsorted(self._running, self._running[self.starts[:-1]] + np.minimum(ranks, held), "left") - 1
        values = np.full(len(held), np.nan)
        if len(self.index):
            values[inside] = highest_equivalent(self.index[place[inside]])
        values[(count > 0) & ~inside] = beyond_us
        return values

    def merged(self, rows: npt.NDArray[np.bool_]) -> "Merged":
        """All values of the rows where `rows` is true."""
        chosen = np.repeat(rows, np.diff(self.starts))
        counts = np.bincount(self.index[chosen], weights=self.count[chosen])
        index = np.flatnonzero(counts)
        return Merged(highest_equivalent(index), counts[index].astype(np.int64))


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

    def quantile_us(self, quantile: float) -> float:
        """The nearest-rank quantile in microseconds; NaN when there is no value."""
        if self.total == 0:
            return float("nan")
        place = rank(quantile, np.array([self.total]))[0]
        return float(self.values_us[np.searchsorted(np.cumsum(self.counts), place, "left")])


def unwrap(text: bytes) -> bytes:
    """The encoded counters of one base64 payload, checked as far as its headers go.

    Raises:
        PayloadError: it is damaged, or of a precision that the run folder does not use.
    """
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
        body = unzip.decompress(raw[_WRAPPER.size :], _MAX_PAYLOAD_BYTES)
    except zlib.error:
        raise PayloadError("its compressed part is damaged") from None
    if len(body) < _HEADER.size or not unzip.eof:
        raise PayloadError("its compressed part is cut short or too large")
    cookie, payload_length, offset, digits, lowest, _highest, _ratio = _HEADER.unpack_from(body)
    if cookie & ~0xF0 != _PAYLOAD_COOKIE:
        raise PayloadError("not a V2 histogram")
    if (digits, lowest, offset) != (3, 1, 0):
        raise PayloadError(f"{digits} digits from {lowest} us, not 3 from 1")
    counters = body[_HEADER.size : _HEADER.size + payload_length]
    if len(counters) != payload_length or (counters and counters[-1] >= 0x80):
        raise PayloadError("its counters are cut short")
    return counters


def build(rows: Sequence[int], payloads: Sequence[bytes], row_count: int) -> Histograms:
    """The histograms of one series from their unwrapped payloads; two of the same row are added.

    Args:
        rows: the row of each payload.
        payloads: what `unwrap` gave.
        row_count: how many rows there are in all.
    """
    parts = [
        _decode(np.array(rows[at : at + _BATCH], dtype=np.int64), payloads[at : at + _BATCH])
        for at in range(0, len(rows), _BATCH)
    ]
    row = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, np.int64)
    index = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, np.uint16)
    count = np.concatenate([part[2] for part in parts]) if parts else np.zeros(0, np.uint32)
    order = np.lexsort((index, row)) if _unsorted(rows) else slice(None)
    row, index, count = row[order], index[order], count[order]
    starts = np.searchsorted(row, np.arange(row_count + 1), "left").astype(np.int64)
    return Histograms(starts, index, count)


def _unsorted(rows: Sequence[int]) -> bool:
    return any(after <= before for before, after in itertools.pairwise(rows))


def _decode(rows: Ints, payloads: Iterable[bytes]) -> tuple[Ints, npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    """(row, counter index, count) of every counter in use. Payloads end on a whole number, so they can be joined."""
    payloads = list(payloads)
    sizes = np.array([len(payload) for payload in payloads], dtype=np.int64)
    stream = np.frombuffer(b"".join(payloads), dtype=np.uint8)
    ends = np.flatnonzero(stream < 0x80)
    if not len(ends):
        return np.zeros(0, np.int64), np.zeros(0, np.uint16), np.zeros(0, np.uint32)
    begins = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    lengths = ends - begins + 1
    numbers = stream[begins].astype(np.int64) & 0x7F
    for place in range(1, min(int(lengths.max()), 8)):
        longer = lengths > place
        numbers[longer] |= (stream[begins[longer] + place].astype(np.int64) & 0x7F) << (7 * place)
    numbers = (numbers >> 1) ^ -(numbers & 1)

    owner = np.repeat(np.arange(len(sizes)), sizes)[begins]
    widths = np.where(numbers < 0, -numbers, 1)
    before = np.cumsum(widths) - widths
    first_of_owner = np.searchsorted(owner, np.arange(len(sizes)), "left")
    base = before[np.minimum(first_of_owner, len(before) - 1)]
    index = before - base[owner]
    used = (numbers > 0) & (index <= _MAX_INDEX) & (lengths <= 8)
    return rows[owner[used]], index[used].astype(np.uint16), numbers[used].astype(np.uint32)
