"""The command line: words in, `AgentApi` verbs, and results on stdout; all else goes to stderr.

`main` finds the command and turns errors into exit codes, `commands` has a module for each, `parameters` reads what is
typed, `output` writes. Commands are imported when they are called: `enqueue` and `inspect` start in a blink.
"""
