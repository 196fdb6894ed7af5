"""Trying a version on live rows: in the shadow of the champion, or for a growing share of users."""
