"""own.py - small proxies of ours (bench/lab/peers): the same work over epoll, over io_uring, and inside a sockmap."""
from ..topology import peer, services
from .base import Device


class Own(Device):
    kind = "connections"
    program, options = "", ()

    def start(self, bed):
        bed.own_addresses()
        routes = [f"{port}={self.endpoint(row)[0]}:{to}" for row in services() for _name, port, to, _protocol in (row,)]
        log = bed.lab.directory / f"{self.name}.log"
        child = bed.start("device", bed.lab.node, peer(self.program), *self.options, *routes, log=log)
        self.started(bed, child, 80, log)

    def pid(self):
        return self.child.pid


class Epoll(Own):
    name, title, program = "epoll", "our plain epoll proxy, one thread", "epoll_proxy"


class Uring(Own):
    name, title, program = "uring", "our plain io_uring proxy, one thread", "uring_proxy"


class UringPoll(Own):
    name, title, program = "uring-sqpoll", "our io_uring proxy, the kernel polls for submissions", "uring_proxy"
    options = ("--sqpoll",)

    def notes(self):
        return "the polling thread runs on the device's core as well and sleeps after 50 ms without work"


class Sockmap(Own):
    keeps_order = False
    name, title, program = "sockmap", "sockmap: sockets joined in the kernel by a verdict program", "sockmap_proxy"

    def notes(self):
        return "kept connections only: a close may overtake payload that is still inside the map"


DEVICES = (Epoll, Uring, UringPoll, Sockmap)
