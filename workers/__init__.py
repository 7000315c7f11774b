"""The worker processes, and all that the supervisor needs to make, hear, stop and bury them.

From the ground up: `slot` (a worker's piece of shared memory), `channel` (messages and descriptors between two
processes), `signals` (signals as something to select on), `output` (what handlers print). On these stand
`fork_server` and `births`, the process that forks workers, and `fork_client`, the supervisor's handle on it. `worker`
is what runs in the child, `pool` what keeps the wanted number of them alive.

The fork server never opens the database, has one thread, and is the only parent of workers: whatever it reports about
a worker (stopped, continued, exited) it has seen through waitid(2).
"""
