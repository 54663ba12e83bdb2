"""runner_test.py - a run may end between any two turns and go on later, without playing one twice."""
import pathlib
import tempfile
import unittest
import unittest.mock

from penstock_lab import duts, loads, plan, runner, targets
from penstock_lab.loads.base import Metric
from penstock_lab.results import Results

CORES = {"client": {0}, "servers": {0}, "device": {1}, "lab": {0}}
DEVICES, LOADS = ("direct", "nft", "penstock-fullnat"), ("keepalive", "oneshot")


def setUpModule():
    described = unittest.mock.patch.object(runner.machine, "describe", lambda: {"cpu": "x"})
    described.start()
    unittest.addModuleCleanup(described.stop)


class Played(runner.Runner):
    """Writes down what it would measure; a turn takes `takes` seconds."""

    def __init__(self, keep, takes=1.0):
        super().__init__(None, None, lambda _text: None, keep, clock=lambda: self.now)
        self.now, self.takes, self.turns, self.profiled = 0.0, takes, [], []

    def turn(self, turn):
        self.turns.append((turn.round, turn.device.name))
        self.now += self.takes

    def profile(self, name, load):
        self.now += self.takes
        self.profiled.append((name, load))
        return {"device": name, "load": load, "how": "", "symbols": []}


def fresh(rounds=2, budget=1000, profiles=0):
    return runner.fresh("run", [duts.make(name) for name in DEVICES], [loads.find(name) for name in LOADS], rounds, 1, budget, profiles,
                        CORES)


class Sittings(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = pathlib.Path(self.folder.name, "r.json")

    def keep(self, data):
        Results(data).write(self.place)

    def test_all_in_one_sitting(self):
        one = Played(self.keep)
        results = one.run(fresh())
        self.assertEqual(len(one.turns), 6)
        self.assertEqual(results.data["plan"]["rounds_done"], 2)
        self.assertTrue(Results.read(self.place).data["plan"]["finished"])

    def test_an_allowance_ends_a_sitting_and_the_next_goes_on(self):
        planned = plan.turn_seconds(runner.turns_of(fresh())[0][0], 1)
        first = Played(self.keep, planned)
        first.run(fresh(), allowance=4.5 * planned)
        data = Results.read(self.place).data
        self.assertEqual((len(first.turns), data["plan"]["rounds_done"], data["plan"]["finished"]), (4, 1, False))
        second = Played(self.keep, planned)
        second.run(data)
        self.assertEqual(len(set(first.turns + second.turns)), 6)
        self.assertEqual(len(second.turns), 2)
        data = Results.read(self.place).data
        self.assertEqual((data["plan"]["finished"], len(data["plan"]["sittings"])), (True, 2))
        self.assertAlmostEqual(data["plan"]["took_seconds"], 6 * planned, 0)

    def test_an_interrupted_turn_is_played_again(self):
        class Interrupted(Played):
            def turn(self, turn):
                if len(self.turns) == 2:
                    raise KeyboardInterrupt
                super().turn(turn)
        with self.assertRaises(KeyboardInterrupt):
            Interrupted(self.keep).run(fresh())
        second = Played(self.keep)
        second.run(Results.read(self.place).data)
        self.assertEqual(len(second.turns), 4)

    def test_what_others_disturbed_is_played_again(self):
        first = Played(self.keep)
        first.run(fresh())
        data = Results.read(self.place).data
        data["cells"] = [{"device": "nft", "round": turn, "load": "keepalive", "values": {"operations": 1, "p50": 1}, "error": None,
                          "cpu": {"seconds": 1.0, "cores": 2, "foreign": foreign}} for turn, foreign in ((0, 0.1), (1, 0.3))]
        self.assertEqual(runner.forget_disturbed(data), 1)
        self.assertEqual([cell["round"] for cell in data["cells"]], [0])
        second = Played(self.keep)
        second.run(data)
        self.assertEqual(second.turns, [(1, "nft")])

    def test_what_others_disturb_is_played_once_more_within_the_budget(self):
        class Disturbed(Played):
            def turn(self, turn):
                super().turn(turn)
                self.data["cells"].append({"device": turn.device.name, "round": turn.round, "load": "keepalive", "values": {"operations": 1},
                                           "error": None, "cpu": {"seconds": 1.0, "cores": 2, "foreign": 0.5 * (turn.device.name == "nft")}})
        planned = plan.turn_seconds(runner.turns_of(fresh())[0][0], 1)
        one = Disturbed(self.keep, planned)
        results = one.run(fresh(budget=100 * planned))
        self.assertEqual(one.turns[6:], [(0, "nft"), (1, "nft")])
        self.assertEqual((len(results.data["cells"]), len(results.data["plan"]["turns_done"])), (6, 6))
        short = Disturbed(self.keep, planned)
        short.run(fresh(budget=7.5 * planned))
        self.assertEqual(short.turns[6:], [(0, "nft")])

    def test_a_try_on_slow_cores_is_repeated_while_there_is_time_and_the_fastest_counts(self):
        class Load:
            name, once, overhead, metrics, tells_cpu = "keepalive", False, 0.5, (Metric("rate", "", headline=True),), True

            def __init__(self, paces):
                self.paces = list(paces)

            def prepare(self, bed, device):
                pass

            def run(self, bed, device, seconds):
                pace = self.paces.pop(0)
                if pace is None:
                    raise runner.LoadError("no answer")
                foreign = pace if pace < 1 else 0.0
                return {"operations": 1, "rate": len(self.paces),
                        "cpu": {"seconds": 1.0, "cores": 1, "foreign": foreign, "pace": 10000 if foreign else pace}}

        bed, turn = unittest.mock.Mock(frames=lambda: 0), plan.Turn(3, duts.make("nft"), ())
        one = Played(self.keep)
        one.data, one.seconds, one.progress = fresh(), 1, plan.Progress([], 1, one.clock)
        one.data["cells"] = [{"device": "nft", "load": "keepalive", "round": turn, "error": None, "values": {"operations": 1},
                              "cpu": {"seconds": 1.0, "cores": 2, "foreign": 0.0, "pace": 10000}} for turn in range(3)]

        def measured(paces, spare=100.0, once=False):
            load, one.spare = Load(paces), lambda: spare
            load.once = once
            one.cell(turn, bed, turn.device, load)
            cell = one.data["cells"].pop()
            return cell.get("tries"), cell["cpu"].get("foreign") or cell["cpu"].get("pace") or cell["error"]

        self.assertEqual(measured([10900, 10000]), (1, 10900))
        self.assertEqual(measured([14000, 10500, 10000]), (2, 10500))
        self.assertEqual(measured([14000, 12000, 13000, 10000]), (runner.TRIES, 12000))
        self.assertEqual(measured([0.6, 0.2, 0.4]), (runner.TRIES, 0.2), "the least disturbed, by whatever it was")
        self.assertEqual(measured([14000, None]), (1, 14000), "what was measured is not lost")
        self.assertEqual(measured([None]), (None, "LoadError: no answer"))
        self.assertEqual(measured([14000, 10000], spare=1.4), (1, 14000))
        self.assertEqual(measured([14000, 10000], once=True), (1, 14000))

    def test_a_round_that_would_end_late_does_not_begin(self):
        planned = plan.turn_seconds(runner.turns_of(fresh())[0][0], 1)
        one = Played(self.keep, planned)
        results = one.run(fresh(rounds=3, budget=7 * planned))
        self.assertEqual((len(one.turns), results.data["plan"]["rounds_done"], results.data["plan"]["finished"]), (6, 2, True))

    def test_single_parts_are_measured_once_each(self):
        data = fresh()
        data["plan"]["parts"] = True
        with unittest.mock.patch.object(runner.parts, "measure", lambda step: {"bars": {step: [1]}}):
            results = Played(self.keep).run(data, allowance=8 + runner.parts.STEP_SECONDS)
            self.assertTrue(results.data["plan"]["finished"])
            self.assertEqual(list(results.data["parts"]), runner.parts.steps())
            del results.data["parts"][runner.parts.SCALING]
            late = Played(self.keep).run(results.data, allowance=1)
            self.assertFalse(late.data["plan"]["finished"])

    def test_missed_targets_are_profiled_once(self):
        data = fresh(profiles=2)
        data["idle"] = [{"device": "penstock-fullnat", "round": 0, "device_percent": 90.0}]
        first = Played(self.keep)
        first.run(data)
        self.assertEqual(first.profiled, [("penstock-fullnat", targets.IDLE)])
        second = Played(self.keep)
        second.run(Results.read(self.place).data)
        self.assertEqual((second.turns, second.profiled), ([], []))


if __name__ == "__main__":
    unittest.main()
