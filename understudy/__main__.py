"""`python -m understudy`, for where the console script is not installed."""

from understudy.cli import main

main()
