"""The command line: a module for each command, which `smtp821.__main__` puts together."""
