"""`python -m evoprompt` is `evoprompt`."""

from evoprompt.cli import main

main()
