"""The questions that decide whether a run can be trusted; `report.trust` asks them in order."""
