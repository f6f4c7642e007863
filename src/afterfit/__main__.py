"""`python -m afterfit`, where the command is not on the path."""

from afterfit.cli import main

main()
