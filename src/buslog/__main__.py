"""`python -m buslog` is the command `buslog`."""

from buslog.cli import main

main()
