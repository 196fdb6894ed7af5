"""From body bytes to an answer that is in the journal before it leaves."""
