"""What runs the service and knows nothing of its subject: tasks, log, limits, child processes."""
