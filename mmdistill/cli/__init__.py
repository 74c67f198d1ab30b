"""The command line: arguments, exit codes, and a look at the environment."""
