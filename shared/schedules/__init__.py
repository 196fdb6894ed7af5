"""Rules that say when something is due: calendar steps and cron expressions, in a time zone."""
