"""duts - the devices under test: what may stand in the node between client and servers. One file per family."""
from . import kernel, own, penstock, proxies, raw

ALL = {cls.name: cls for module in (kernel, proxies, own, raw, penstock) for cls in module.DEVICES}


def make(name):
    if name not in ALL:
        raise ValueError(f"device {name}: one of {', '.join(ALL)}")
    return ALL[name]()
