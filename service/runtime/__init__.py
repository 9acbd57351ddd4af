"""What runs the service, whatever it does: tasks, log, turns, child processes."""
