"""A finished run folder in, HTML and verdict out."""

from report.assemble import ReportResult, build

__all__ = ["ReportResult", "build"]
