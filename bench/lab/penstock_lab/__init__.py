"""penstock_lab - Penstock beside its peers on one machine: devices under test x loads, in turns, with all CPU counted.

Shape     topology (namespaces, servers) - procs (parties) - duts, loads - plan, runner - stats - report, summary, compare
Reuses    tests/e2e/lab.py for namespaces and penstockd, tests/e2e/servers.py for nginx
Not here  scripts/lab, the command; docs/guide/lab.md, the manual
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
if str(ROOT / "tests" / "e2e") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests" / "e2e"))
