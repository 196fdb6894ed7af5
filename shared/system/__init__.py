"""What the operating system gives: files written as a whole, and child processes."""
