"""What records a run on AWS: ships the run folder to S3, watches the replication group, publishes the load."""
