"""The same task in each peer's words: `enqueue(value, at)`, and a handler that leaves a mark and returns a dict.

Each is loaded by its producer (`produce`) and by the peer's own workers, never by a benchmark. The environment says
where things are: BENCH_DIRECTORY, BENCH_REDIS (a URL), BENCH_POSTGRES (a connection string).
"""
