"""own.py - small proxies of ours (bench/lab/peers): the same work over epoll, over io_uring, and inside a sockmap."""
DEVICES = ()
