"""A model of the agent: every interleaving of two workers, a fork server and a supervisor over two tasks.

A state is a frozen tuple; an action is a generator of `(label, state)`, one pair for each way in which the agent can go
on from there. A label says who does what: `("worker 1", "names task", 1, 1)`. The actions are the real code's atomic
steps: a COMMIT, a store into a slot's word, the start and the end of a handler's effect, a signal as it is sent, passed
on and reported, a death. What a process knows is kept apart from what stands in the store and in the slots, so that it
can be out of date.

In the model
    claims of one task and of chunks of two; outcomes in the slot's ring; records by the worker and, at the same time,
    by the supervisor's tick; starts written late; taking back (BEGUN, LIMIT, LAST, and the stores that a processor
    holds back); freeze, thaw and kill as signals and reports that cross on their way, and outsiders' signals between;
    cancel and retry by an operator; deadlines; a store that fails before or after its COMMIT; an outcome that does not
    fit into the ring; a worker that leaves; deaths of a worker, the fork server and the supervisor at every point,
    burial, recovery. Silence (no heartbeat) is whatever a worker does not do: nothing waits for it.
Not in the model
    wake-ups (whoever may claim, may claim at once), priorities and types, pauses and the governor, poison, power loss.

`Rules` holds what the real code does to keep its promises, one switch each; `mutations` leaves each of them out. How
often something may happen that need not is bounded: a `Scope` says how often, and is walked through whole.
"""
