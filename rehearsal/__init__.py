"""The declared stack on one machine, resharded under load."""
