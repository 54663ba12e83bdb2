"""servers.py - the real servers behind the balancer: nginx, dnsmasq and an echo server.

Echo      `python3 servers.py echo NAME=ADDRESS:PORT ...` serves TCP and UDP on every address from one process.
          TCP: the first line is the server's name, then every octet comes back. UDP: "NAME " before the datagram.
"""
import os
import pathlib
import selectors
import socket
import sys
import time

if __name__ != "__main__":
    from lab import run, wait_for

BODY_SIZES = {"0": 0, "1k": 1 << 10, "16k": 1 << 14, "64k": 1 << 16, "1m": 1 << 20, "10m": 10 << 20}


def bodies(directory):
    """Files of random octets that nginx serves below /body/."""
    folder = directory / "body"
    if not folder.exists():
        folder.mkdir(parents=True)
        for name, octets in BODY_SIZES.items():
            (folder / name).write_bytes(os.urandom(octets))
    return folder


def nginx_config(directory, name, listens, body_folder):
    listen = "\n    ".join(f"listen {address} backlog=4096;" for address in listens)
    return f"""
daemon off; master_process off; worker_processes 1;
pid {directory}/nginx.pid; error_log {directory}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_timeout 600; keepalive_requests 10000000; sendfile on; tcp_nodelay on;
  client_body_temp_path {directory}/tmp; proxy_temp_path {directory}/tmp;
  fastcgi_temp_path {directory}/tmp; uwsgi_temp_path {directory}/tmp; scgi_temp_path {directory}/tmp;
  default_type application/octet-stream;
  server {{
    {listen}
    add_header X-Server {name} always;
    location / {{ default_type text/plain; return 200 "{name} $remote_addr\\n"; }}
    location /body/ {{ alias {body_folder}/; }}
  }}
}}
"""


def nginx(lab, name, addresses, port):
    """One nginx process that answers its name and the client's address as it sees it."""
    directory = lab.directory / f"nginx-{name}"
    (directory / "tmp").mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    lab.directory.chmod(0o755)
    listens = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]
    config = directory / "nginx.conf"
    text = nginx_config(directory, name, listens, bodies(lab.directory))
    config.write_text("user root;\n" + text if os.getuid() == 0 else text)
    child = lab.popen(lab.servers, "nginx", "-p", directory, "-e", directory / "error.log", "-c", config,
                      log=directory / "out.log")
    wait_listening(lab, child, port, "-Hltn", directory / "error.log")
    return child


def dns(lab, name, addresses, port):
    """One dnsmasq that answers `whoami.test` TXT with its name and `*.test` A with 192.0.2.1."""
    log = lab.directory / f"dnsmasq-{name}.log"
    listens = [f"--listen-address={address}" for address in addresses]
    child = lab.popen(lab.servers, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                      "--no-hosts", "--bind-interfaces", "--except-interface=lo", f"--port={port}", "--pid-file=",
                      "--user=root", "--log-facility=-", f"--txt-record=whoami.test,{name}",
                      "--address=/test/192.0.2.1", *listens, log=log)
    wait_listening(lab, child, port, "-Hlun", log)
    return child


def echo(lab, servers, space=None):
    """One echo process for {name: [(address, port), ...]}."""
    log = lab.directory / "echo.log"
    words = [f"{name}={address},{port}" for name, places in servers.items() for address, port in places]
    child = lab.popen(space or lab.servers, sys.executable, __file__, "echo", *words, log=log)
    port = int(words[-1].rsplit(",", 1)[1])
    wait_listening(lab, child, port, "-Hltn", log, space)
    return child


def wait_listening(lab, child, port, flags, log, space=None):
    def listening():
        if child.poll() is not None:
            raise RuntimeError(f"server ended with {child.returncode}: {pathlib.Path(log).read_text()}")
        return (space or lab.servers).run("ss", flags, f"sport = :{port}").stdout.strip()
    wait_for(listening, 10, f"a server listens on port {port}")


class EchoServer:
    def __init__(self, words):
        self.selector = selectors.DefaultSelector()
        for word in words:
            name, place = word.split("=")
            address, port = place.rsplit(",", 1)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                listener = socket.socket(family, kind)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, int(port)))
                listener.setblocking(False)
                if kind == socket.SOCK_STREAM:
                    listener.listen(4096)
                handler = self.accept if kind == socket.SOCK_STREAM else self.datagram
                self.selector.register(listener, selectors.EVENT_READ, (handler, name.encode()))

    def accept(self, listener, name):
        connection, _peer = listener.accept()
        connection.settimeout(3)  # whoever does not read must not hold up the others
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(name + b"\n")
        self.selector.register(connection, selectors.EVENT_READ, (self.stream, name))

    def stream(self, connection, _name):
        try:
            data = connection.recv(65536)
            if data:
                connection.sendall(data)
                return
        except OSError:
            pass
        self.selector.unregister(connection)
        connection.close()

    def datagram(self, server, name):
        data, peer = server.recvfrom(65536)
        server.sendto(name + b" " + data, peer)

    def serve(self):
        while True:
            for key, _events in self.selector.select():
                handler, name = key.data
                try:
                    handler(key.fileobj, name)
                except OSError:
                    time.sleep(0.001)


if __name__ == "__main__":
    if sys.argv[1:2] != ["echo"]:
        sys.exit("usage: servers.py echo NAME=ADDRESS,PORT ...")
    EchoServer(sys.argv[2:]).serve()
