"""What operators see of the daemon: counters and their exposition, logs, and notices to systemd."""
