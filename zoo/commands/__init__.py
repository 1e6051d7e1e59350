"""The subcommands of `zoo.cli`: each parses its arguments, calls zoo and prints."""
