"""From decoded messages to committed batches: intake, queue, writers, bisection."""
