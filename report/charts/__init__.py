"""The charts of the report: what each of them shows."""
