"""What all rooms agree on: load profiles, the schedule that follows from one, the run folder, histograms."""
