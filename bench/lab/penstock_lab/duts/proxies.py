"""proxies.py - HAProxy and nginx from Debian, as TCP and as HTTP proxies, one thread or worker each, logs off. They run without a
master process until somebody wants to change their configuration."""
import os
import pathlib
import signal
import time

from lab import VIP4, wait_for

from ..patterns import pattern_of
from ..topology import service as service_named, services
from .base import Device


SAY_AGAIN_SECONDS = 0.25


class Proxy(Device):
    """A process, or a master of one."""

    configurable, mastered, reload_signal = True, False, None

    def make_configurable(self, bed):
        self.stop(bed)
        self.mastered = True
        self.start(bed)

    def stop(self, bed):
        bed.lab.end(self.child, signal.SIGKILL)

    def workers(self):
        return set(map(int, pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()))

    def reload(self, _turn):
        """Done when another worker has come; those before it end when their connections do. A master that is still busy with the reload
        before does not hear the signal: it is said again."""
        before, said = self.workers(), -SAY_AGAIN_SECONDS

        def renewed():
            nonlocal said
            if time.monotonic() - said > SAY_AGAIN_SECONDS:
                os.kill(self.child.pid, self.reload_signal)
                said = time.monotonic()
            return self.workers() - before
        wait_for(renewed, 5, f"{self.name} has a new worker", 0.002)

    def pid(self):
        return max(self.workers()) if self.mastered else self.child.pid


class HAProxyTcp(Proxy):
    reload_signal = signal.SIGUSR2
    name, title, kind, mode = "haproxy-tcp", "HAProxy, mode tcp, one thread", "connections", "tcp"

    def start(self, bed):
        bed.own_addresses()
        config, log = bed.lab.directory / "haproxy.cfg", bed.lab.directory / "haproxy.log"
        config.write_text(self.text(bed.parties.connections_max()))
        child = bed.start("device", bed.lab.node, "haproxy", *(["-W"] if self.mastered else []), "-db", "-f", config, log=log)
        self.started(bed, child, self.bind(self.rows()[0])[1], log)

    def rows(self):
        return [row for row in services() if row[0] in self.serves]

    def bind(self, service):
        return VIP4, service[1]

    def text(self, connections):
        lines = ["global", f"  maxconn {connections}", "  nbthread 1", "defaults", f"  mode {self.mode}", "  timeout connect 10s",
                 "  timeout client 1h", "  timeout server 1h", *self.more()]
        for row in self.rows():
            (address, port), (server, to) = self.bind(row), self.endpoint(row)
            lines += [f"listen {row[0]}", f"  bind {address}:{port} backlog 16384{self.bind_more(row)}", f"  server s {server}:{to}"]
        return "\n".join(lines) + "\n"

    def more(self):
        return []

    def bind_more(self, _service):
        return ""


class HAProxyHttp(HAProxyTcp):
    name, title, kind, mode, serves = "haproxy-http", "HAProxy, mode http, one thread", "requests", "http", ("web", "h2")

    routes, alike = 0, False

    def more(self):
        return ["  http-reuse always", "  option http-keep-alive"]

    def endpoint(self, service):
        """HTTP/1.1 towards the server, whatever the client speaks: as nginx does."""
        return super().endpoint(service_named("web") if service[0] == "h2" else service)

    def bind_more(self, service):
        return " proto h2" if service[0] == "h2" else ""

    def set_routes(self, bed, count, alike=False):
        """Another process with so many path_reg rules, each to a backend."""
        self.stop(bed)
        self.routes, self.alike = count, alike
        self.start(bed)

    def text(self, connections):
        text = super().text(connections)
        if not self.routes:
            return text
        row = self.rows()[0]
        (address, port), (server, to) = self.bind(row), self.endpoint(row)
        rules = "".join(f"  use_backend web if {{ path_reg {pattern_of(index, self.alike)} }}\n" for index in range(self.routes))
        return (text[:text.index("listen ")] + f"frontend f\n  bind {address}:{port} backlog 16384\n{rules}"
                f"backend web\n  server s {server}:{to}\n")


class NginxStream(Proxy):
    reload_signal = signal.SIGHUP
    name, title, kind = "nginx-stream", "nginx stream, one worker", "connections"

    def start(self, bed):
        bed.own_addresses()
        directory = bed.lab.directory / "nginx-node"
        (directory / "tmp").mkdir(parents=True, exist_ok=True)
        config, log = directory / "nginx.conf", directory / "out.log"
        config.write_text(self.head(directory, bed.parties.open_files) + self.body(directory))
        self.directory = directory
        child = bed.start("device", bed.lab.node, "nginx", "-p", directory, "-e", directory / "error.log", "-c", config,
                          log=log)
        self.started(bed, child, 80, log)

    def head(self, directory, open_files):
        return ("load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n" if self.kind == "connections" else "") + f"""
user root; daemon off; master_process {"on" if self.mastered else "off"}; worker_processes 1; worker_rlimit_nofile {open_files};
pid {directory}/nginx.pid; error_log {directory}/error.log warn;
events {{ worker_connections {open_files - 100}; }}
"""

    def body(self, _directory):
        rows = "".join(f"  server {{ listen {VIP4}:{port} backlog=16384; proxy_pass {self.endpoint(row)[0]}:{to}; "
                       f"proxy_timeout 1h; }}\n"
                       for row in services() if row[0] in self.serves for _name, port, to, _protocol in (row,))
        return f"stream {{\n  tcp_nodelay on;\n{rows}}}\n"


class NginxHttp(NginxStream):
    name, title, kind, serves = "nginx-http", "nginx http proxy, one worker, upstream keep-alive", "requests", ("web", "h2")

    routes, alike = 0, False

    def set_routes(self, bed, count, alike=False):
        self.stop(bed)
        self.routes, self.alike = count, alike
        self.start(bed)

    def locations(self):
        passing = "proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection \"\";"
        if not self.routes:
            return f"    location / {{ {passing} }}\n"
        return "".join(f"    location ~ {pattern_of(index, self.alike)} {{ {passing} }}\n" for index in range(self.routes))

    def body(self, directory):
        row, h2 = (next(row for row in services() if row[0] == name) for name in self.serves)
        temp = " ".join(f"{kind}_temp_path {directory}/tmp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        server, to = self.endpoint(row)
        return f"""http {{
  access_log off; keepalive_timeout 600; keepalive_requests 10000000; tcp_nodelay on; {temp}
  upstream web {{ server {server}:{to}; keepalive 512; keepalive_requests 10000000; }}
  server {{
    listen {VIP4}:{row[1]} backlog=16384;
    listen {VIP4}:{h2[1]} http2 backlog=16384;
{self.locations()}  }}
}}
"""


DEVICES = (HAProxyTcp, HAProxyHttp, NginxStream, NginxHttp)
