"""health_test.py - a server that stops answering gets nothing new, on listeners of both modes, and comes back."""
import os
import signal

import case
import servers
from case import listener
from lab import VIP4, server4, wait_for
from traffic import server_name

L4, PROXY = 80, 81
CONNECTIONS = 30


class Health(case.LabTest):
    tag = "hlt"
    nginx = {}

    @classmethod
    def start_servers(cls):
        for index in range(1, cls.server_count + 1):
            cls.nginx[index] = servers.nginx(cls.lab, f"web{index}", [server4(index)], 8080)

    @classmethod
    def configuration(cls):
        checks = [{"protocol": "http", "path": "/", "interval": "200ms", "jitter": "50ms", "timeout": "150ms",
                   "healthy_threshold": 2, "unhealthy_threshold": 2}]
        web = {"name": "web", "endpoints": case.endpoints(4, 8080, (1, 1, 1)), "health_checks": checks}
        return cls.lab.config([web], [listener("l4", VIP4, L4, "tcp", "web"),
                                      listener("proxy", VIP4, PROXY, "tcp", "web", mode="proxy")])

    def health(self):
        rows = self.lab.status()["endpoints"]
        return [next(row["health"] for row in rows if row["address"] == server4(i)) for i in (1, 2, 3)]

    def wait_health(self, *wanted):
        wait_for(lambda: self.health() == list(wanted), 5, f"health {wanted}")
        self.wait_verdict()

    def seen(self):
        """Servers that answered new connections of both listeners; every one was answered."""
        return {server_name(self.lab.client, VIP4, port, timeout=2)[0] for port in (L4, PROXY)
                for _ in range(CONNECTIONS)}

    def test_a_silent_server_is_left_out_and_comes_back(self):
        self.wait_health("healthy", "healthy", "healthy")
        self.assertEqual(self.seen(), {"web1", "web2", "web3"})
        os.kill(self.nginx[2].pid, signal.SIGSTOP)  # its kernel still accepts connections
        try:
            self.wait_health("healthy", "unhealthy", "healthy")
            self.assertEqual(self.seen(), {"web1", "web3"})
            told = self.lab.cli("services").stdout
            self.assertIn("unhealthy (no answer within 150 ms)", told)
            metrics = self.lab.api("GET", "/metrics")[1]
            self.assertIn(f'penstock_endpoint_healthy{{cluster="web",endpoint="{server4(2)}:8080"}} 0', metrics)
        finally:
            os.kill(self.nginx[2].pid, signal.SIGCONT)
        self.wait_health("healthy", "healthy", "healthy")
        self.assertEqual(self.seen(), {"web1", "web2", "web3"})

    def test_when_most_are_ill_all_are_used(self):
        self.wait_health("healthy", "healthy", "healthy")
        for index in (1, 2):
            os.kill(self.nginx[index].pid, signal.SIGSTOP)
        try:
            wait_for(lambda: self.health() == ["unhealthy", "unhealthy", "healthy"], 5, "two are unhealthy")
            wait_for(lambda: any("all endpoints are used" in text for text in self.lab.status()["warnings"]), 5,
                     "a warning")
        finally:
            for index in (1, 2):
                os.kill(self.nginx[index].pid, signal.SIGCONT)
        self.wait_health("healthy", "healthy", "healthy")
        self.assertFalse(any("all endpoints are used" in text for text in self.lab.status()["warnings"]))

    def test_top_shows_rates(self):
        rates = self.lab.cli("top", "--once", "--json").stdout
        self.assertIn('"flows_per_second"', rates)
        self.assertIn("LISTENER", self.lab.cli("top", "--once").stdout)


if __name__ == "__main__":
    case.main()
