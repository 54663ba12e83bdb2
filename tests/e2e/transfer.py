"""transfer.py - checked transfers between the lab's client and server namespaces (psk_transfer)."""
import json
import os
import signal
import subprocess

from lab import binary, server4, server6, wait_for

MIB = 1 << 20


def place(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class TransferServer:
    """One psk_transfer server on the first server's addresses."""

    def __init__(self, lab, port, greets=False):
        self.lab = lab
        self.log = lab.directory / f"transfer-{port}.log"
        words = [place(server4(1), port), place(server6(1), port)] + (["--greet"] if greets else [])
        self.child = lab.popen(lab.servers, binary("psk_transfer"), "server", *words, log=self.log)
        wait_for(self._ready, 5, "psk_transfer serves")

    def _ready(self):
        if self.child.poll() is not None:
            raise RuntimeError(f"psk_transfer ended with {self.child.returncode}: {self.log.read_text()}")
        return "ready" in self.log.read_text()

    def totals(self):
        """Outcomes of all connections so far, and what is still open."""
        reports = self.log.read_text().count("\n")
        os.kill(self.child.pid, signal.SIGUSR1)
        wait_for(lambda: self.log.read_text().count("\n") > reports, 5, "psk_transfer reports")
        return json.loads(self.log.read_text().splitlines()[-1])

    def since(self, before):
        """What changed since `before`, zeros left out; `open` is absolute."""
        now = self.totals()
        change = {name: now[name] - before[name] for name in now
                  if isinstance(now[name], int) and not name.startswith(("connect_", "longest", "open"))}
        return {name: value for name, value in {**change, "open": now["open"]}.items() if value}


def client_command(space, address, port, **options):
    words = []
    for name, value in options.items():
        if value is True:
            words.append("--" + name.replace("_", "-"))
        elif value not in (False, None):
            words += ["--" + name.replace("_", "-"), str(value)]
    return space.command(binary("psk_transfer"), "client", place(address, port), *words)


def transfer(space, address, port, timeout=60, quiet=True, **options):
    """The report of one run of psk_transfer client; options as on its command line."""
    command = client_command(space, address, port, timeout=timeout, **options)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE if quiet else None, text=True, timeout=timeout + 30)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"psk_transfer: exit {done.returncode}: {done.stdout}{done.stderr or ''}")
    return json.loads(done.stdout)
