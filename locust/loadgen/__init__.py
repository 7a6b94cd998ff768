"""The open-model load generator: schedule in, one row an arrival out; and what ties it to Locust."""
