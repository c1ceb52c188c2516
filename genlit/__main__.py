"""`python -m genlit`."""

from genlit.cli import main

main()
