"""ports_test.py - interfaces and peers vanish and return; whoever is not concerned does not notice."""
import time

import case
from case import HTTP_FULLNAT
from lab import VIP4, wait_for
from traffic import EchoStreams, Prober, server_name

SECOND = "10.10.3"


class Ports(case.LabTest):
    tag = "prt"

    @classmethod
    def configuration(cls):
        ports = [{"name": "veth-client"}, {"name": "veth-servers"}, {"name": "veth-second", "optional": True}]
        return cls.lab.config(case.usual_clusters(), case.usual_listeners(), ports=ports)

    def setUp(self):
        self.prober = Prober(self.lab.client, VIP4, HTTP_FULLNAT, interval=0.02, timeout=4).start()
        self.streams = EchoStreams(self.lab.client, VIP4, case.ECHO_DNAT, 10).start()

    def tearDown(self):
        self.prober.stop()
        self.streams.stop()
        self.assertEqual(self.prober.failed(), [])
        self.assertEqual(self.prober.slow(0.5), [], "others are not disturbed")
        self.assertEqual(self.streams.broken(), [])
        self.assertLess(self.streams.worst(), 1.0)

    def add_second(self):
        space = self.lab.namespace(f"psk-second-{self.lab.tag}")
        self.lab.veth("veth-second", space, "eth0")
        self.lab.node.ip(f"addr add {SECOND}.1/24 dev veth-second")
        space.ip(f"addr add {SECOND}.2/24 dev eth0", f"route add default via {SECOND}.1")
        return space

    def wait_steering(self, wanted=True):
        def reached():
            row = next((r for r in self.lab.status()["ports"] if r["name"] == "veth-second"), None)
            return (row is not None and row["steering"]) == wanted
        wait_for(reached, 10, f"veth-second steering={wanted}")

    def served_fast(self, space):
        before = self.steer_count("veth-second", "redirected_service")
        server_name(space, VIP4, HTTP_FULLNAT, timeout=5)
        self.assertGreater(self.steer_count("veth-second", "redirected_service"), before)

    def test_a_port_comes_goes_and_comes_again(self):
        for way in ("interface", "namespace", "interface"):
            with self.subTest(removed_by=way):
                space = self.add_second()
                self.wait_steering()
                time.sleep(0.2)
                self.served_fast(space)
                if way == "interface":
                    self.lab.node.ip("link del veth-second")
                    self.wait_steering(False)
                space.delete()
                self.lab.namespaces.remove(space)
                self.wait_steering(False)
                time.sleep(0.5)
        self.assertEqual(self.lab.status()["verdict"], "ok", self.lab.status()["reasons"])

    def test_a_port_that_goes_under_traffic_takes_nobody_along(self):
        space = self.add_second()
        self.wait_steering()
        with Prober(space, VIP4, HTTP_FULLNAT, interval=0.005, timeout=1):
            time.sleep(1)
            self.lab.node.ip("link del veth-second")
            time.sleep(1)
        space.delete()
        self.lab.namespaces.remove(space)
        self.wait_steering(False)
        self.assertEqual(self.lab.status()["dataplane"]["restarts"], 0)

    def test_a_mandatory_port_that_vanishes_is_reported_and_served_again_when_it_returns(self):
        config = self.configuration()
        space = self.add_second()
        config["ports"][2]["optional"] = False
        self.lab.apply(config)
        self.wait_steering()
        self.lab.node.ip("link del veth-second")
        self.wait_steering(False)
        status = self.wait_verdict("degraded")
        self.assertTrue(any("veth-second" in reason for reason in status["reasons"]), status["reasons"])
        self.lab.veth("veth-second", space, "eth0")
        self.lab.node.ip(f"addr add {SECOND}.1/24 dev veth-second")
        space.ip(f"addr add {SECOND}.2/24 dev eth0", f"route add default via {SECOND}.1")
        self.wait_steering()
        self.wait_verdict("ok")
        self.served_fast(space)
        self.lab.apply(self.configuration())
        self.lab.node.ip("link del veth-second")
        self.wait_steering(False)
        space.delete()
        self.lab.namespaces.remove(space)


class OwnNamespace(case.LabTest):
    """A port in a namespace of its own, which is deleted and made again under everybody else's traffic."""

    tag = "own"

    @classmethod
    def configuration(cls):
        cls.pod_name = f"psk-pod-{cls.lab.tag}"
        ports = [{"name": "veth-client"}, {"name": "veth-servers"},
                 {"name": "pod0", "netns": cls.pod_name, "optional": True}]
        return cls.lab.config(case.usual_clusters(), case.usual_listeners(), ports=ports)

    def add_pod(self, second):
        pod = self.lab.namespace(self.pod_name)
        pod.ip(f"link add pod0 type veth peer name eth0 netns {second.name}", "link set pod0 up",
               f"addr add {SECOND}.1/24 dev pod0")
        second.ip("link set eth0 up", f"addr add {SECOND}.2/24 dev eth0", f"route add default via {SECOND}.1")
        wait_for(lambda: self.port_state("pod0")["steering"], 10, "pod0 steers")
        before = self.steer_count("pod0", "redirected_service")
        self.assertIn(server_name(second, VIP4, HTTP_FULLNAT, timeout=5)[0], ("web1", "web2", "web3"))
        self.assertGreater(self.steer_count("pod0", "redirected_service"), before)
        return pod

    def interfaces(self, space):
        return space.run("ip", "-o", "link").stdout

    def test_a_namespace_that_goes_is_let_go_and_served_again_when_it_returns(self):
        second = self.lab.namespace(f"psk-second-{self.lab.tag}")
        with Prober(self.lab.client, VIP4, HTTP_FULLNAT, interval=0.02, timeout=4) as prober, \
                EchoStreams(self.lab.client, VIP4, case.ECHO_DNAT, 10) as streams:
            for _ in range(2):
                pod = self.add_pod(second)
                fds = case.rss_and_fds(self.lab.dataplane_pid())[1]
                pod.delete()
                self.lab.namespaces.remove(pod)
                wait_for(lambda: not self.port_state("pod0")["present"], 5, "pod0 is noticed to be gone")
                # The other end of its pair goes only when nobody holds the namespace any more.
                wait_for(lambda: "eth0" not in self.interfaces(second), 10, "the kernel has freed the namespace")
                self.assertLess(case.rss_and_fds(self.lab.dataplane_pid())[1], fds)
            time.sleep(0.5)
        self.assertEqual(prober.failed(), [])
        self.assertEqual(prober.slow(0.5), [], "others are not disturbed")
        self.assertEqual(streams.broken(), [])
        self.assertLess(streams.worst(), 1.0)
        status = self.lab.status()
        self.assertEqual(status["verdict"], "ok", status["reasons"])
        self.assertEqual(status["dataplane"]["restarts"], 0)


class OtherNamespace(case.LabTest):
    """The client's port lies in a namespace that the daemon enters: here the node itself, by name."""

    tag = "pns"

    @classmethod
    def configuration(cls):
        ports = [{"name": "veth-client", "netns": cls.lab.node.name}, {"name": "veth-servers"}]
        return cls.lab.config(case.usual_clusters(), case.usual_listeners(), ports=ports)

    def test_a_port_with_a_named_namespace_steers(self):
        server_name(self.lab.client, VIP4, HTTP_FULLNAT)
        self.assertGreater(self.steer_count("veth-client", "redirected_service"), 0)


if __name__ == "__main__":
    case.main()
