"""A write-ahead log: decisions are on local disk before the answer leaves, then in the database."""
