"""The declared experiment: one driver for both places, and the place AWS."""
