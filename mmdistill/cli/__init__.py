"""The command line: arguments, exit codes, and a check of the environment."""
