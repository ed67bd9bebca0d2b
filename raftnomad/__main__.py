"""`python -m raftnomad` is the command `raftnomad`."""

from raftnomad.cli.main import main

main()
