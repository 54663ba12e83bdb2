"""http_smuggling_test.py - the smuggling corpus through a running Penstock to nginx, HAProxy and h11: nobody sees what was not meant.

Model     every case of tests/corpus/http1_smuggling/requests.txt goes to each judge, from a client address of its own,
          which Penstock adds to x-forwarded-for: so every request that a judge saw belongs to a case. Behind nginx and
          HAProxy stands the h11 judge as well, so what they understood (method, target, body) is written down twice.
Holds     (each a difference with the case's name, if not) a case that is refused: the documented status, the connection ends, the judge saw nothing. A case that is
          forwarded: the judge saw exactly the requests that were meant, in order. No judge saw anything else.
Cuts      nginx gets cases whole, HAProxy in two pieces, h11 in pieces of seven octets.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import socket
import sys
import time
import unittest

import case as case_module
import servers
from lab import CLIENT4, ROOT, Lab, VIP4, server4, wait_for

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "corpus" / "http1_smuggling"))
from cases import meant, table  # noqa: E402

NGINX, HAPROXY, H11, BEHIND_NGINX, BEHIND_HAPROXY = 8081, 8082, 8083, 8091, 8092
JUDGES = {"nginx": NGINX, "haproxy": HAPROXY, "h11": H11}
AT_ONCE = 48
# What a judge refuses by itself with 400 although it is one well-formed request.
NARROW = {"nginx": {"method_lower_case_is_another", "options_absolute_without_path"},
          "haproxy": {"websocket_is_not_forwarded_unless_allowed"},  # a handshake without its key
          "h11": set()}
# Answered by Penstock: a prefix of "/" is no route for "*".
NO_ROUTE = {"options_star": 404}

NGINX_TEXT = """
user root; daemon off; master_process off; worker_processes 1;
pid {d}/nginx.pid; error_log {d}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  log_format judge escape=json '{{"request":"$request","status":$status,"for":"$http_x_forwarded_for","connection":$connection}}';
  access_log {d}/access.log judge;
  keepalive_timeout 600; keepalive_requests 1000000; client_max_body_size 0; client_header_buffer_size 32k;
  large_client_header_buffers 4 64k; underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
  client_body_temp_path {d}/tmp; proxy_temp_path {d}/tmp; fastcgi_temp_path {d}/tmp; uwsgi_temp_path {d}/tmp;
  scgi_temp_path {d}/tmp;
  upstream recorder {{ server {address}:{behind}; }}
  server {{
    listen {address}:{port} backlog=1024;
    location / {{ proxy_pass http://recorder; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
HAPROXY_TEXT = """
global
  tune.bufsize 65536
  tune.http.maxhdr 256
  tune.http.logurilen 16384
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  log stdout len 65535 format raw local0
frontend judge
  bind {address}:{port}
  http-request capture req.hdr(x-forwarded-for) len 128
  log-format "%{{+Q}}r %ST %[capture.req.hdr(0)]"
  default_backend recorder
backend recorder
  http-reuse never
  server one {address}:{behind}
"""


def documented_statuses():
    text = (ROOT / "docs" / "architecture" / "http1.md").read_text()
    return {name: int(status) for name, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.M)}


def pieces(octets, judge):
    if judge == "nginx" or len(octets) > 4000:
        return [octets]
    if judge == "haproxy":
        return [octets[:len(octets) // 2], octets[len(octets) // 2:]]
    return [octets[i:i + 7] for i in range(0, len(octets), 7)]


class Smuggling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root for network namespaces")
        cls.lab = Lab("smug", server_count=2)
        cls.addClassCleanup(cls.end)
        cls.cases = table("requests.txt")
        cls.statuses = documented_statuses()
        cls.lab.client.ip("route add local 10.20.0.0/16 dev lo")
        cls.lab.node.ip(f"route add 10.20.0.0/16 via {CLIENT4} dev veth-client")
        cls.start_judges()
        cls.lab.start_daemon(cls.configuration())

    @classmethod
    def end(cls):
        if os.environ.get("PENSTOCK_SHOW_LOG"):
            print(cls.lab.log_tail(100))
        cls.lab.close()

    @classmethod
    def start_judges(cls):
        lab, address = cls.lab, server4(1)
        cls.record = lab.directory / "record.jsonl"
        cls.record.touch()
        places = {"h11": H11, "nginx": BEHIND_NGINX, "haproxy": BEHIND_HAPROXY}
        judge = lab.popen(lab.servers, "/usr/bin/python3", pathlib.Path(__file__).with_name("http_judge.py"), cls.record,
                          *[f"{name}={address},{port}" for name, port in places.items()], log=lab.directory / "judge.log")
        servers.wait_listening(lab, judge, BEHIND_HAPROXY, "-Hltn", lab.directory / "judge.log")
        cls.nginx_log, cls.haproxy_log = lab.directory / "nginx" / "access.log", lab.directory / "haproxy.log"
        (lab.directory / "nginx" / "tmp").mkdir(parents=True)
        for name, text, port, behind in (("nginx", NGINX_TEXT, NGINX, BEHIND_NGINX),
                                         ("haproxy", HAPROXY_TEXT, HAPROXY, BEHIND_HAPROXY)):
            config = lab.directory / f"{name}.conf"
            config.write_text(text.format(d=lab.directory / "nginx", address=address, port=port, behind=behind))
            command = ["nginx", "-e", lab.directory / "nginx" / "error.log", "-c", config] if name == "nginx" else ["haproxy", "-db", "-f", config]
            child = lab.popen(lab.servers, *command, log=lab.directory / f"{name}.log")
            servers.wait_listening(lab, child, port, "-Hltn", lab.directory / f"{name}.log")

    @classmethod
    def configuration(cls):
        clusters, listeners = [], []
        for name, port in JUDGES.items():
            clusters.append({"name": name, "endpoints": [{"address": server4(1), "port": port}]})
            routes = [{"match": {"prefix": "/"}, "cluster": name}]
            listeners.append({"name": name, "address": VIP4, "port": port, "protocol": "http", "mode": "proxy",
                              "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]})
        return cls.lab.config(clusters, listeners)

    # One case

    @staticmethod
    def address(index):
        return f"10.20.{1 + index // 200}.{1 + index % 200}"

    def send(self, judge, index):
        """Statuses that came back until the connection ended, and how it did."""
        case = self.cases[index]
        with self.lab.client.socket() as connection:
            connection.settimeout(10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.bind((self.address(index), 0))
            connection.connect((VIP4, JUDGES[judge]))
            got, end = b"", "closed"
            try:
                for piece in pieces(case.octets, judge):
                    connection.sendall(piece)
                    if judge == "haproxy":
                        time.sleep(0.002)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                end = "reset"
            try:
                while data := connection.recv(65536):
                    got += data
            except TimeoutError:
                end = "open"
            except ConnectionError:
                end = "reset"
            statuses = [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", got, re.M)]
            return [status for status in statuses if status >= 200], end

    @staticmethod
    def expected(case):
        """The requests that were meant, as (method, target, octets of body); and whether another was begun."""
        whole, begun = [], False
        for message in case.forwarded if case.name not in NO_ROUTE else []:
            try:
                method, target, _fields, body, _trailers = meant(message)
                whole.append((method.decode(), target.decode(), len(body)))
            except ValueError:
                begun = True
        return whole, begun

    # What the judges saw

    def seen(self):
        """judge -> address -> (whole requests, how many not whole), from the h11 judge; and lines that fit nobody."""
        requests, strange = {name: {} for name in JUDGES}, []
        for line in self.record.read_text().splitlines():
            row = json.loads(line)
            if "refused" in row or not row["for"].startswith("10.20."):
                strange.append(line)
                continue
            whole, begun = requests[row["at"]].setdefault(row["for"], ([], []))
            (whole if row["whole"] else begun).append((row["method"], row["target"], row["body"]))
        return requests, strange

    def lines(self):
        """judge -> address -> [(method, target)] from the logs of nginx and HAProxy; and lines that fit nobody."""
        logs, strange = {"nginx": {}, "haproxy": {}}, []
        # What they refuse by themselves they log without its fields.
        narrow = {judge: [" ".join(self.expected(case)[0][0][:2]) + " HTTP/1.1" if judge == "nginx" else "<BADREQ>"
                          for case in self.cases if case.name in NARROW[judge]] for judge in logs}

        def add(judge, line, request, status, client):
            words = request.split(" ")
            if client.startswith("10.20.") and len(words) == 3:
                logs[judge].setdefault(client, []).append((words[0], words[1]))
            elif status == 400 and request in narrow[judge]:
                narrow[judge].remove(request)
            else:
                strange.append(line)
        for line in self.nginx_log.read_text().splitlines():
            row = json.loads(line)
            add("nginx", line, row["request"], row["status"], row["for"].split(",")[-1].strip())
        for line in self.haproxy_log.read_text().splitlines():
            found = re.fullmatch(r'"(.*)" (-?\d+) (\S+.*)', line)
            if found:
                add("haproxy", line, found.group(1), int(found.group(2)), found.group(3).split(",")[-1].strip())
        return logs, strange

    def differences(self, judge, index, answer, requests, logs):
        """What is wrong with one case at one judge."""
        case, address = self.cases[index], self.address(index)
        (whole, begun), (statuses, end) = self.expected(case), answer
        saw, saw_begun = requests[judge].get(address, ([], []))
        wanted = [200] * len(whole)
        if case.end.startswith(b"reject"):
            wanted.append(self.statuses[case.end.split()[1].decode()])
        if case.name in NO_ROUTE:
            wanted = [NO_ROUTE[case.name]]
        if case.name in NARROW[judge]:
            whole, wanted = [], [400]
        if end == "open":
            yield "the connection stayed open"
        if statuses != wanted:
            yield f"answered {statuses} instead of {wanted} ({end})"
        if saw != whole:
            yield f"saw {saw} instead of {whole}"
        if len(saw_begun) > begun:
            yield f"saw unfinished {saw_begun}"
        if judge in logs:
            logged = logs[judge].get(address, [])
            lines = [(method, target) for method, target, _body in whole]
            if logged[:len(lines)] != lines or len(logged) > len(lines) + begun:
                yield f"logged {logged} instead of {lines}"

    def test_no_judge_sees_what_was_not_meant(self):
        jobs = [(judge, index) for judge in JUDGES for index in range(len(self.cases))]
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            answers = dict(zip(jobs, pool.map(lambda job: self.send(*job), jobs)))
        seconds = time.monotonic() - start
        forwarded = sum(len(self.expected(case)[0]) for case in self.cases)

        def settled():
            requests, _strange = self.seen()
            return all(sum(len(whole) for whole, _begun in requests[judge].values()) >= forwarded - len(NARROW[judge])
                       for judge in JUDGES)
        try:
            wait_for(settled, 3, "every judge saw as much as was meant")
        except TimeoutError as error:
            print(error)
        time.sleep(0.5)  # what should not come would come now
        requests, strange = self.seen()
        logs, strange_lines = self.lines()
        problems = [f"{self.cases[index].name} at {judge}: {what}" for judge, index in jobs
                    for what in self.differences(judge, index, answers[judge, index], requests, logs)]
        problems += [f"nobody's request: {line}" for line in strange + strange_lines]
        refused = sum(case.end.startswith(b"reject") and not case.forwarded for case in self.cases)
        print(f"{len(self.cases)} cases, {refused} of them refused whole, at {len(JUDGES)} judges in {seconds:.1f} s; "
              f"{forwarded} requests meant, seen by each")
        self.assertFalse(problems, "\n".join(["", *(problem[:300] for problem in problems)]))
        self.assertGreaterEqual(refused, 150)
        self.assertGreaterEqual(forwarded, 50)


if __name__ == "__main__":
    case_module.main()
