"""catalogue_test.py - every device and load is whole, meets somebody, and stands in the manual; proxies' texts hold together."""
import itertools
import re
import unittest

from penstock_lab import ROOT, duts, loads, patterns, plan
from penstock_lab.duts.base import KINDS


class Catalogue(unittest.TestCase):
    def setUp(self):
        self.devices = [duts.make(name) for name in duts.ALL]
        self.manual = (ROOT / "docs" / "guide" / "lab.md").read_text()

    def test_every_device_has_a_title_a_kind_and_a_load(self):
        for device in self.devices:
            with self.subTest(device=device.name):
                self.assertTrue(device.title)
                self.assertIn(device.kind, KINDS)
                self.assertTrue(plan.loads_for(device, list(loads.ALL.values())))

    def test_every_load_has_one_headline_and_meets_a_device(self):
        for load in loads.ALL.values():
            with self.subTest(load=load.name):
                self.assertEqual(sum(metric.headline for metric in load.metrics), 1)
                self.assertTrue(any(load.why_not(device) is None for device in self.devices))

    def test_the_manual_names_every_device(self):
        for name in duts.ALL:
            self.assertTrue(f"`{name}`" in self.manual, name)

    def test_the_manual_names_every_load(self):
        for name in loads.ALL:
            short = "-" + name.split("-", 1)[1] if "-" in name else name
            self.assertTrue(f"`{name}`" in self.manual or f"`{short}`" in self.manual or name.startswith("routes-"), name)

    def test_sockmap_meets_no_load_that_closes(self):
        chosen = [load.name for load in plan.loads_for(duts.make("sockmap"), list(loads.ALL.values()))]
        self.assertIn("keepalive", chosen)
        self.assertFalse({"oneshot", "oneshot-64k", "flood"} & set(chosen))

    def test_unknown_names_are_refused_with_the_known_ones(self):
        self.assertRaisesRegex(ValueError, "haproxy-tcp", duts.make, "envoy")
        self.assertRaisesRegex(ValueError, "keepalive", loads.find, "keepalife")


class Texts(unittest.TestCase):
    def test_only_one_route_takes_a_path(self):
        for index, alike in itertools.product((0, 9, 999), (False, True)):
            path = patterns.path_of(index, alike)
            self.assertEqual([i for i in range(1000) if re.search(patterns.pattern_of(i, alike), path)], [index])

    def test_haproxy_has_a_rule_per_route(self):
        device = duts.make("haproxy-http")
        self.assertNotIn("path_reg", device.text(100))
        device.routes = 3
        text = device.text(100)
        self.assertEqual(text.count("path_reg"), 3)
        self.assertIn("maxconn 100", text)

    def test_proxies_have_a_master_once_they_are_to_be_changed(self):
        nginx = duts.make("nginx-http")
        self.assertIn("master_process off", nginx.head("/x", 1000))
        nginx.mastered = True
        self.assertIn("master_process on", nginx.head("/x", 1000))
        churn = [name for name in duts.ALL if loads.find("churn").why_not(duts.make(name)) is None]
        self.assertEqual({duts.ALL[name].kind for name in churn}, {"packets", "connections", "requests"})
        self.assertNotIn("epoll", churn)

    def test_nginx_has_a_location_per_route(self):
        device = duts.make("nginx-http")
        self.assertEqual(device.body("/x").count("location"), 1)
        device.routes = 3
        self.assertEqual(device.body("/x").count("location ~"), 3)


if __name__ == "__main__":
    unittest.main()
