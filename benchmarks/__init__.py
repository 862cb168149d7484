"""Measures Penstock against the most that the broker can give."""
