"""lab.py - network namespaces, real servers and penstockd, for the end-to-end tests and the demo.

Model     client --- node --- servers: three network namespaces joined by two veth pairs. penstockd runs in `node`,
          its ports are veth-client and veth-servers. Everything that a Lab starts is a child of this process or
          lives in one of its namespaces; close() ends all of it and is called on every way out.
Names     psk-<role>-<tag><pid> unless the caller names them; nothing is shared with another Lab.
Not here  servers (servers.py), load (traffic.py), what is expected (the tests).
"""
import atexit
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build" / "release"))

CLIENT4, CLIENT6 = "10.10.1.2", "fd10:1::2"
NODE_CLIENT4, NODE_CLIENT6 = "10.10.1.1", "fd10:1::1"
NODE_SERVERS4, NODE_SERVERS6 = "10.10.2.1", "fd10:2::1"
VIP4, VIP6 = "10.96.0.10", "fd10:96::10"

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def server4(index):
    """Address of the index-th server, 1-based."""
    return f"10.10.2.{10 + index}"


def server6(index):
    return f"fd10:2::{10 + index}"


def binary(name):
    """Path of a built program."""
    path = BUILD / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built; run scripts/dev build")
    return str(path)


def wait_for(condition, timeout, what, interval=0.02):
    """The condition's first true value; an error that names `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def run(*command, check=True, timeout=60, input=None):
    done = subprocess.run([str(part) for part in command], input=input, stdin=None if input else subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Namespace:
    """A network namespace of ours."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        self.ip("link set lo up")

    @classmethod
    def existing(cls, name):
        space = cls.__new__(cls)
        space.name, space.path = name, f"/run/netns/{name}"
        return space

    def ip(self, *lines):
        """Lines for `ip -batch`."""
        run("ip", "-n", self.name, "-batch", "-", input="\n".join(lines) + "\n")

    def sysctl(self, **values):
        with self.entered():
            for name, value in values.items():
                pathlib.Path("/proc/sys/net", name.replace("__", "/")).write_text(str(value))

    def run(self, *command, **options):
        return run("nsenter", f"--net={self.path}", *command, **options)

    def command(self, *command):
        return ["nsenter", f"--net={self.path}", *[str(part) for part in command]]

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace meanwhile."""
        with open("/proc/thread-self/ns/net") as home, open(self.path) as there:
            self._setns(there)
            try:
                yield
            finally:
                self._setns(home)

    @staticmethod
    def _setns(file):
        if _libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket of this namespace; it may be used from anywhere."""
        with self.entered():
            return socket.socket(family, kind, proto)

    def pids(self):
        done = run("ip", "netns", "pids", self.name, check=False)
        return [int(word) for word in done.stdout.split()]

    def delete(self):
        """Ends every process inside, then the namespace."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self.pids(), 5, f"processes of {self.name} end")
        run("ip", "netns", "delete", self.name, check=False)


class Lab:
    """The three namespaces and what runs in them. A context manager."""

    def __init__(self, tag, queues=1, names=None, runtime_dir=None, server_count=3, log=None):
        self.tag = f"{tag}{os.getpid()}"
        self.queues = queues
        self.server_count = server_count
        self.names = names or [f"psk-{role}-{self.tag}" for role in ("client", "node", "servers")]
        self.directory = pathlib.Path(runtime_dir or f"/run/psk-{self.tag}")
        self.runtime_dir = self.directory / "run"
        self.config_path = self.directory / "penstock.yaml"
        self.daemon_log = self.directory / "penstockd.log"
        self.socket_path = self.runtime_dir / "penstockd.sock"
        self.namespaces, self.children, self.closed = [], [], False
        self.daemon = None
        self.on_close = []
        atexit.register(self.close)
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        asked_to_end = kind is not None and issubclass(kind, SystemExit)
        if kind is not None and not asked_to_end and self.daemon_log.exists():
            print(f"--- end of {self.daemon_log}\n{self.log_tail(60)}", file=sys.stderr)
        self.close()

    def namespace(self, name):
        space = Namespace(name)
        self.namespaces.append(space)
        return space

    def _build(self):
        self.client, self.node, self.servers = [self.namespace(name) for name in self.names]
        for space in self.namespaces:
            space.sysctl(ipv6__conf__all__disable_ipv6=0, ipv6__conf__default__accept_dad=0,
                         ipv6__conf__default__accept_ra=0, ipv4__conf__all__rp_filter=0,
                         ipv4__conf__default__rp_filter=0)
        self.node.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.join("client", self.client)
        self.join("servers", self.servers)
        self.node.ip(f"addr add {NODE_CLIENT4}/24 dev veth-client", f"addr add {NODE_CLIENT6}/64 dev veth-client nodad",
                     f"addr add {NODE_SERVERS4}/24 dev veth-servers",
                     f"addr add {NODE_SERVERS6}/64 dev veth-servers nodad")
        self.client.ip(f"addr add {CLIENT4}/24 dev eth0", f"addr add {CLIENT6}/64 dev eth0 nodad",
                       f"route add default via {NODE_CLIENT4}", f"route add default via {NODE_CLIENT6}")
        lines = []
        for index in range(1, self.server_count + 1):
            lines += [f"addr add {server4(index)}/24 dev eth0", f"addr add {server6(index)}/64 dev eth0 nodad"]
        self.servers.ip(*lines, f"route add default via {NODE_SERVERS4}", f"route add default via {NODE_SERVERS6}")

    def join(self, role, space):
        """The node's interface towards `space`, and that one's eth0."""
        self.veth(f"veth-{role}", space, "eth0")

    def veth(self, node_name, peer, peer_name, queues=None):
        """A veth pair between the node and another namespace, up."""
        count = queues or self.queues
        self.node.ip(f"link add {node_name} numrxqueues {count} numtxqueues {count} type veth "
                     f"peer name {peer_name} netns {peer.name} numrxqueues {count} numtxqueues {count}",
                     f"link set {node_name} up")
        peer.ip(f"link set {peer_name} up")

    # Processes

    def popen(self, space, *command, log=None):
        """A child in `space`, ended by close()."""
        output = open(log, "ab") if log else subprocess.DEVNULL
        try:
            child = subprocess.Popen(space.command(*command), stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=subprocess.STDOUT, start_new_session=True)
        finally:
            if log:
                output.close()
        self.children.append(child)
        return child

    def end(self, child, sign=signal.SIGTERM, timeout=10):
        """Ends one child of ours; its exit code."""
        if child.poll() is None:
            child.send_signal(sign)
            try:
                child.wait(timeout)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)
        if child in self.children:
            self.children.remove(child)
        return child.returncode

    # penstockd

    def config(self, clusters, listeners, ports=None, **node):
        """A configuration as plain data, with this lab's addresses and small limits."""
        return {
            "apiVersion": "penstock/v1",
            "node": {
                "runtime_dir": str(self.runtime_dir),
                "addresses": [NODE_SERVERS4, NODE_SERVERS6],
                "memory_mib": 192,
                "limits": {"flows_per_worker": 65536, "buffers_per_worker": 16384},
                **node,
            },
            "ports": ports or [{"name": "veth-client"}, {"name": "veth-servers"}],
            "clusters": clusters,
            "listeners": listeners,
        }

    def write_config(self, config):
        """Text as it is, data as JSON (which is YAML); replaced in one step."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.config_path)

    def start_daemon(self, config=None, wait=True, timeout=20):
        if config is not None:
            self.write_config(config)
        self.daemon = self.popen(self.node, binary("penstockd"), "--config", self.config_path,
                                 "--dataplane", binary("penstock-dataplane"), log=self.daemon_log)
        if wait:
            self.wait_ready(timeout)
        return self.daemon

    def wait_ready(self, timeout=20):
        def ready():
            if self.daemon is not None and self.daemon.poll() is not None:
                raise RuntimeError(f"penstockd ended with {self.daemon.returncode}:\n{self.log_tail(40)}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.api("GET", "/readyz")[0] == 200
            return False
        wait_for(ready, timeout, "penstockd is ready", 0.05)

    def stop_daemon(self, sign=signal.SIGTERM, timeout=20):
        code = self.end(self.daemon, sign, timeout)
        self.daemon = None
        return code

    def log_tail(self, lines):
        if not self.daemon_log.exists():
            return ""
        return "\n".join(self.daemon_log.read_text(errors="replace").splitlines()[-lines:])

    def cli(self, *arguments, check=True, timeout=30):
        return run(binary("penstock"), "--socket", self.socket_path, *arguments, check=check, timeout=timeout)

    def status(self):
        return self.api_json("GET", "/v1/status")

    def api(self, method, path, body=None, timeout=15):
        """(status, text) of one request over the Unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(timeout)
        try:
            connection.sock.connect(str(self.socket_path))
            connection.request(method, path, body=body, headers={"Content-Type": "application/yaml"} if body else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def api_json(self, method, path, body=None, timeout=15):
        status, text = self.api(method, path, body, timeout)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {text}")
        return json.loads(text)

    def apply(self, config=None, timeout=15):
        """Writes the file and applies its text; the API's answer."""
        if config is not None:
            self.write_config(config)
        return self.api_json("POST", "/v1/apply", self.config_path.read_text(), timeout)

    def dataplane_pid(self):
        """Found by its program among the node's processes, so it needs no daemon."""
        for pid in self.node.pids():
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")).split(" ")[0] == "penstock-dataplane":
                    return pid
        return None

    # The end

    def keep(self):
        """Everything stays when this process ends."""
        self.closed = True
        atexit.unregister(self.close)

    def close(self):
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        for action in self.on_close:
            with contextlib.suppress(Exception):
                action()
        if self.daemon is not None:
            with contextlib.suppress(Exception):
                self.stop_daemon(timeout=8)
        for child in list(self.children):
            with contextlib.suppress(Exception):
                self.end(child, signal.SIGKILL)
        for space in self.namespaces:
            with contextlib.suppress(Exception):
                space.delete()
        unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)


def mounts_below(directory):
    points = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    return sorted((p for p in points if p == str(directory) or p.startswith(f"{directory}/")), reverse=True)


def unmount_below(directory):
    for point in mounts_below(directory):
        run("umount", "-l", point, check=False)


def end_on_signals():
    """SIGTERM, SIGINT and SIGHUP end the process through its exit handlers, so that labs are closed."""
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def leave(number, _frame):
        for again in signals:  # impatience must interrupt neither the cleaning nor the commands that do it
            signal.signal(again, signal.SIG_IGN)
        raise SystemExit(128 + number)
    if threading.current_thread() is threading.main_thread():
        for each in signals:
            signal.signal(each, leave)
