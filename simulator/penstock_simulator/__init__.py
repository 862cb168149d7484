"""Simulated sensors that load Penstock, break it, and check that nothing was lost."""
