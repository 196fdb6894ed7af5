"""The command line: starts the services, fills and feeds the database, shows tokens."""
