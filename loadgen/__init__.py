"""The open-model load generator and the run folder's format."""
