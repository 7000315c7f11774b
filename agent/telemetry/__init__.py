"""What the agent measures and tells: sensors, metrics and logs.

`sensors` reads CPU and memory, each source able to be missing; `proc` and `cgroups` are the pure parsers below it.
`metrics` is one sample as people, files and the database see it. `logs` writes the events of the catalogue in `events`
to `agent.jsonl` (`files`: appending, reopening, rotating), free of secrets (`plain`), and tells a person on stderr
(`console`). Nothing is imported here: the command line pays only for what it uses.
"""
