"""The `bench` command, one file per subcommand; the only part of bench that prints."""
