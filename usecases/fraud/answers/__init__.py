"""Answers: from the scores of a row to what the caller reads and the journal keeps."""
