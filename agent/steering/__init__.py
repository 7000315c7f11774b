"""Between the governor and the pool: readings in, orders out, everything committed before it is acted upon.

Reading order: `governing` (sample, step, commit), `standing` (operators' orders and when they end).

Why it is so: the governor is pure and the pool knows no policy. What lies between has one owner, the supervisor, which
alone writes the governor's state and the operators' standing orders.
"""
