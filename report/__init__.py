"""A finished run folder in, HTML and verdict out."""
