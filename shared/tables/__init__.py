"""The database: schema, engine, migrations and the few statements both services share."""
