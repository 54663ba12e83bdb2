"""models_test.py - plays scripts that independent models of the RFCs write: models_test.py RUN_SCRIPT [SCRIPTS].

SCRIPTS is how many a random model writes (500); the others write every case once. A script's name says its model and
its number, which is the seed; --keep DIRECTORY leaves them there.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import arrivals
import opening
import receiver
import sender

RANDOM = {
    "receiver_overlaps": receiver.overlaps,
    "receiver_endings": receiver.endings,
    "sender_windows": sender.windows,
    "sender_timeouts": sender.timeouts,
}
COMPLETE = {
    "arrivals_plain": arrivals.plain,
    "arrivals_stamped": arrivals.stamped,
    "opening_syn_sent": opening.syn_sent,
    "opening_syn_received": opening.syn_received,
}


def scripts(count):
    for name, model in RANDOM.items():
        for seed in range(count):
            yield f"{name}_{seed:05}", model(random.Random(seed))
    for name, model in COMPLETE.items():
        for i, text in enumerate(model()):
            yield f"{name}_{i:05}", text


def play(run_script, path):
    # IPv4 and IPv6 differ below what the models know: each script is played in one of them.
    command = [run_script, "--all-must-pass", "--only-problems", "--spare-dsack=0", path]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def spoiled(text):
    """The same script with a wrong number in its last acknowledgement that leaves."""
    lines = text.splitlines()
    last = max(i for i, line in enumerate(lines) if " > " in line and " ack " in line)
    before, number = lines[last].split(" ack ", 1)
    digits = number.split(" ", 1)
    lines[last] = f"{before} ack {int(digits[0]) + 1} {' '.join(digits[1:])}"
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_script")
    parser.add_argument("scripts", type=int, nargs="?", default=500)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="models-") as temporary:
        directory = arguments.keep or pathlib.Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        models = set()
        for number, (name, text) in enumerate(scripts(arguments.scripts)):
            family = f"--ip_version=ipv{4 if number % 2 else 6}\n"
            (directory / f"{name}.pkt").write_text(family + text)
            models.add(name.rsplit("_", 1)[0])
        played = play(arguments.run_script, directory)
        print(played.stdout[-8000:], played.stderr, sep="", end="")
        wrong = temporary + "/wrong.pkt"
        deaf = []  # models whose numbers nobody compares
        for model in sorted(models):
            pathlib.Path(wrong).write_text(spoiled((directory / f"{model}_00003.pkt").read_text()))
            if play(arguments.run_script, wrong).returncode == 0:
                deaf.append(model)
        if deaf:
            print("a wrong number passes:", *deaf)
        return 1 if deaf else played.returncode


if __name__ == "__main__":
    sys.exit(main())
