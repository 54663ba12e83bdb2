"""policy_test.py - allow, deny and ask: answers of the daemon, their lifetime, and silence."""
import os
import signal
import time

import case
from case import listener
from lab import VIP4
from traffic import connect, echo_name, udp_ask

SECOND_CLIENT, THIRD_CLIENT = "10.10.1.3", "10.10.1.4"


class Policy(case.LabTest):
    tag = "pol"

    @classmethod
    def start_servers(cls):
        super().start_servers()
        cls.lab.client.ip(f"addr add {SECOND_CLIENT}/24 dev eth0", f"addr add {THIRD_CLIENT}/24 dev eth0")

    @classmethod
    def configuration(cls):
        rules = [{"source": "10.10.1.2/32", "decision": "allow", "lifetime": "1s"},
                 {"source": f"{SECOND_CLIENT}/32", "decision": "deny", "lifetime": "1s"}]
        ask = {"deadline": "200ms", "rules": rules}
        return cls.lab.config(case.usual_clusters(), [
            listener("denied", VIP4, 5000, "tcp", "echo4", policy="deny"),
            listener("asked-deny", VIP4, 5001, "tcp", "echo4", policy="ask", ask={**ask, "default": "deny"}),
            listener("asked-allow", VIP4, 5002, "tcp", "echo4", policy="ask", ask={**ask, "default": "allow"}),
            listener("asked-udp", VIP4, 5003, "udp", "echo4", policy="ask", ask={**ask, "default": "deny"}),
        ])

    def try_from(self, source, port, timeout=0.9):
        """Does a connection from `source` reach a server?"""
        connection = self.lab.client.socket()
        try:
            connection.settimeout(timeout)
            connection.bind((source, 0))
            connection.connect((VIP4, port))
            return connection.recv(100).startswith(b"echo")
        except OSError:
            return False
        finally:
            connection.close()

    def test_deny_never_reaches_a_server(self):
        before = self.drops("policy_denied")
        self.assertFalse(self.try_from("10.10.1.2", 5000))
        self.assertGreater(self.drops("policy_denied"), before)

    def test_rules_allow_and_deny_by_source(self):
        self.assertTrue(self.try_from("10.10.1.2", 5001))
        self.assertFalse(self.try_from(SECOND_CLIENT, 5001))

    def test_without_a_matching_rule_the_default_decides(self):
        self.assertFalse(self.try_from(THIRD_CLIENT, 5001))
        self.assertTrue(self.try_from(THIRD_CLIENT, 5002))

    def test_udp_is_asked_too(self):
        self.assertTrue(udp_ask(self.lab.client, VIP4, 5003, b"x").startswith(b"echo"))

    def test_an_answer_serves_its_lifetime_and_is_asked_again(self):
        time.sleep(1.2)
        before = self.workers("questions_total")
        for _ in range(20):
            self.assertTrue(self.try_from("10.10.1.2", 5002))
        self.assertLessEqual(self.workers("questions_total") - before, 2)
        time.sleep(1.3)
        before = self.workers("questions_total")
        self.assertTrue(self.try_from("10.10.1.2", 5002))
        self.assertEqual(self.workers("questions_total") - before, 1)

    def workers(self, name):
        return sum(worker[name] for worker in self.lab.status()["workers"])

    def test_a_silent_daemon_means_the_default_action_after_the_deadline(self):
        time.sleep(1.3)
        os.kill(self.lab.daemon.pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            self.assertTrue(self.try_from(THIRD_CLIENT, 5002), "default allow")
            waited = time.monotonic() - start
            self.assertFalse(self.try_from("10.10.1.2", 5001, timeout=0.8), "default deny")
        finally:
            os.kill(self.lab.daemon.pid, signal.SIGCONT)
        self.assertGreater(waited, 0.15)
        self.assertLess(waited, 0.8)
        self.assertGreaterEqual(self.drops("question_deadline"), 1)
        self.wait_verdict()
        self.assertTrue(self.try_from("10.10.1.2", 5001, timeout=3))

    def test_a_parked_connection_goes_on_with_the_answer(self):
        time.sleep(1.2)
        start = time.monotonic()
        connection = connect(self.lab.client, VIP4, 5001)
        connection.close()
        self.assertLess(time.monotonic() - start, 0.15, "the answer came before a retransmission")
        self.assertIn(echo_name(self.lab.client, VIP4, 5001), ("echo1", "echo2", "echo3"))


if __name__ == "__main__":
    case.main()
