"""python3 -m penstock_lab, which scripts/lab runs."""
from .cli import main

main()
