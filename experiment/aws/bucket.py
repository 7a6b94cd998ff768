"""Run folders in the results bucket: lists runs, tells a run's progress, joins its files from segments.

recorder/shipper.py writes them. A segment's key names the bytes it holds, which is enough to find a gap in a file.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from contract import growing, runfolder
from experiment.aws.asking import asking
from experiment.aws.cloud import Cloud
from experiment.errors import StepError, UsageError
from recorder.shipper import get_json

_SEGMENT = re.compile(r"(?P<name>[\w.-]+)/(?P<start>\d{16})-(?P<end>\d{16})")
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-.+")


@dataclass(frozen=True)
class Segment:
    """Bytes [start, end) of one file."""

    key: str
    start: int
    end: int
    size: int


@dataclass
class Listing:
    """What the bucket holds of one run."""

    run_id: str
    growing: dict[str, list[Segment]] = field(default_factory=dict[str, list[Segment]])
    whole: dict[str, str] = field(default_factory=dict[str, str])
    newest: datetime | None = None

    def joined_size(self, name: str) -> int:
        """The number of a file's bytes before the first gap."""
        segments = covered(self.growing.get(name, []))
        return segments[-1].end if segments else 0


@dataclass(frozen=True)
class Shipped:
    """A run's progress according to its bucket."""

    run: dict[str, Any]
    t_s: int
    offered: int
    ok: int
    newest: datetime | None
    closed: bool
    """The master wrote that everything is in the bucket."""
    abandoned: bool
    """A later master found that this run's master was gone."""

    @property
    def ended(self) -> str:
        """running, finished, stopped or interrupted."""
        return "interrupted" if self.abandoned else str(self.run.get("ended", "running"))


def covered(segments: list[Segment]) -> list[Segment]:
    """The segments from the file's first byte to the first gap; repeated tries cause overlaps."""
    position = 0
    chosen: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: (segment.start, -segment.end)):
        if segment.start > position:
            break
        if segment.end > position:
            chosen.append(segment)
            position = segment.end
    return chosen


class RunBucket:
    """The `runs/` and `markers/` of one bucket."""

    def __init__(self, cloud: Cloud, bucket: str, step: str = "collect") -> None:
        self._cloud = cloud
        self.bucket = bucket
        self._step = step

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        ids: list[str] = []
        with asking(self._step, f"s3://{self.bucket}/runs/", "s3:ListBucket"):
            pages = self._cloud.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix="runs/", Delimiter="/"
            )
            for page in pages:
                ids += [entry.get("Prefix", "").split("/")[1] for entry in page.get("CommonPrefixes", [])]
        return sorted(name for name in ids if _RUN_ID.fullmatch(name))

    def current(self, stack: str) -> dict[str, Any] | None:
        """The marker of the run that the stack's master started last."""
        return self.json(f"markers/current-{stack}.json")

    def writer(self, run_id: str) -> str:
        """The ECS task that writes a run; empty when unknown."""
        return str((self.json(f"runs/{run_id}/claim.json") or {}).get("task") or "")

    def json(self, key: str) -> dict[str, Any] | None:
        """A small JSON object; None when there is none."""
        with asking(self._step, f"s3://{self.bucket}/{key}", "s3:GetObject"):
            try:
                return get_json(self._cloud.s3, self.bucket, key)
            except ValueError as error:
                todo = "see who else writes into this bucket"
                raise StepError(self._step, f"s3://{self.bucket}/{key}", f"not JSON: {error}", todo) from None

    def listing(self, run_id: str) -> Listing:
        """Every object of a run, over as many pages as there are."""
        listing = Listing(run_id)
        prefix = f"runs/{run_id}/"
        with asking(self._step, f"s3://{self.bucket}/{prefix}", "s3:ListBucket"):
            pages = self._cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            for page in pages:
                for item in page.get("Contents", []):
                    key = item.get("Key", "")
                    rest = key.removeprefix(prefix)
                    match = _SEGMENT.fullmatch(rest)
                    if match:
                        segment = Segment(key, int(match["start"]), int(match["end"]), item.get("Size", 0))
                        listing.growing.setdefault(match["name"], []).append(segment)
                    elif re.fullmatch(r"[\w-]+\.json", rest):
                        listing.whole[rest] = key
                    moment = item.get("LastModified")
                    if moment is not None and (listing.newest is None or moment > listing.newest):
                        listing.newest = moment
        return listing

    def progress(self, run_id: str) -> Shipped:
        """A run's progress, from run.json and the last row of seconds.csv."""
        listing = self.listing(run_id)
        run = self.json(listing.whole[runfolder.RUN]) if runfolder.RUN in listing.whole else None
        t_s, offered, ok = -1, 0, 0
        segments = covered(listing.growing.get(runfolder.SECONDS, []))
        if segments:
            second = growing.last_second(self._read(segments[-1]))
            if second is not None:
                t_s, offered, ok = second.t_s, second.offered, second.ok
        return Shipped(
            run or {},
            t_s,
            offered,
            ok,
            listing.newest,
            closed=runfolder.EVIDENCE in listing.whole,
            abandoned="abandoned.json" in listing.whole,
        )

    def fetch(self, run_id: str, into: Path) -> list[str]:
        """Join a run's files in a folder; bytes that are there already are kept, so an interrupted fetch resumes.

        Returns a sentence for each missing part; empty when the bucket holds the whole run.
        """
        listing = self.listing(run_id)
        if not listing.growing and not listing.whole:
            known = ", ".join(self.runs()[-5:]) or "none"
            raise UsageError(
                self._step,
                f"s3://{self.bucket}/runs/{run_id}/",
                f"no such run; the newest are: {known}",
                "name another",
            )
        into.mkdir(parents=True, exist_ok=True)
        missing: list[str] = []
        for name, key in sorted(listing.whole.items()):
            with asking(self._step, f"s3://{self.bucket}/{key}", "s3:GetObject"):
                (into / name).write_bytes(self._cloud.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        for name, segments in sorted(listing.growing.items()):
            chosen = covered(segments)
            self._join(chosen, into / name)
            end, last = (chosen[-1].end if chosen else 0), max(segment.end for segment in segments)
            if end < last:
                missing.append(f"{name}: bytes {end} to {min(s.start for s in segments if s.start > end)} are missing")
        if runfolder.RUN not in listing.whole:
            missing.append("run.json is missing: the master ended within seconds of the start")
        return missing + self._against_the_masters_word(listing)

    def _against_the_masters_word(self, listing: Listing) -> list[str]:
        if runfolder.EVIDENCE not in listing.whole:
            return [f"{runfolder.EVIDENCE} is missing: the master did not confirm that everything was sent"]
        evidence = self.json(listing.whole[runfolder.EVIDENCE]) or {}
        missing = [
            f"{name}: {listing.joined_size(name)} of {size} bytes"
            for name, size in sorted(evidence.get("files", {}).items())
            if listing.joined_size(name) < size
        ]
        if evidence.get("whole") is False:
            missing.append("the master could not send everything: " + "; ".join(map(str, evidence.get("problems", []))))
        return missing

    def _join(self, segments: list[Segment], path: Path) -> None:
        position = path.stat().st_size if path.exists() else 0
        with path.open("ab") as stream:
            for segment in segments:
                if segment.end > position:
                    body = self._read(segment)
                    stream.write(body[max(0, position - segment.start) :])
                    position = segment.end

    def _read(self, segment: Segment) -> bytes:
        with asking(self._step, f"s3://{self.bucket}/{segment.key}", "s3:GetObject"):
            body = self._cloud.s3.get_object(Bucket=self.bucket, Key=segment.key)["Body"].read()
        if len(body) != segment.end - segment.start:
            raise StepError(
                self._step,
                f"s3://{self.bucket}/{segment.key}",
                f"it holds {len(body)} bytes, its name says {segment.end - segment.start}",
                "see who else writes into this bucket; collect with --run the copy that is whole",
            )
        return body
