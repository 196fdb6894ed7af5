"""Backup and restore: one archive of everything that an instance needs to serve as before."""
