"""`penstock doctor`: what would cost data or speed, found before it does.

Facts are gathered by the modules `…_facts`, `terms`, `listening` and `daemon_answer`, which wait
for nothing without a limit; what they mean is decided by pure functions from facts to findings.
"""
