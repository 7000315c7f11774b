"""The agent without its processes: tasks, their lifecycle and store, governance, telemetry, the command line.

Reading order: `lifecycle` (the law), `task` (the values), `store` (the durable record), `governance` (the pure
controller), `escalation`, `telemetry`, `maintenance`, `steering`, `client`, `cli`. The processes live beside it, in
`workers` and `supervisor`.
"""
