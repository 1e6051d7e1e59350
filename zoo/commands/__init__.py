"""The commands of `zoo.cli` that have grown too many for one file: each parses, calls, prints."""
