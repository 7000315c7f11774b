"""One module for each command, or for those that belong together; `agent.cli.main.COMMANDS` names them."""
