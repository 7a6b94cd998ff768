"""The parts that the Pulumi program declares."""
