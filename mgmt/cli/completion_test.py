"""completion_test.py PENSTOCK - the completion scripts in the shells that they are for."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PENSTOCK = sys.argv.pop()
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "guide" / "cli.md"
COMMANDS = set(re.findall(r"^## penstock (\w+)$", PAGE.read_text(), re.MULTILINE))

# Completes after $1 with the words behind it, the last of which is being typed.
BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _penstock
printf '%s\\n' "${COMPREPLY[@]}"
"""
# A real line editor on a pseudo-terminal: what is typed, Tab, and what the line became.
ZSH = """
zmodload zsh/zpty
zpty shell "PS1= TERM=dumb zsh -f -i"
zpty -w shell "autoload -Uz compinit; compinit -u -D; source $1; zstyle ':completion:*' menu no; unsetopt auto_menu"
zpty -w shell 'finish() { print -r -- "[[$BUFFER]]"; BUFFER=; zle accept-line }; zle -N finish; bindkey ^X finish; echo rea""dy'
zpty -r -m shell line '*ready*' || exit 1
shift
for typed; do
  zpty -w -n shell "$typed"$'\\t\\C-x'
  zpty -r -m shell line '*\\[\\[*\\]\\]*' || exit 1
  print -r -- "${${line##*\\[\\[}%%\\]\\]*}"
done
zpty -d shell
"""


def script(shell):
    return subprocess.run([PENSTOCK, "completion", shell], capture_output=True, text=True, check=True).stdout


class Completion(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def file(self, shell):
        path = pathlib.Path(self.directory.name, f"_penstock.{shell}")
        path.write_text(script(shell))
        return str(path)

    def bash(self, *words):
        done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", self.file("bash"), "penstock", *words],
                              capture_output=True, text=True, check=True, timeout=20)
        return set(done.stdout.split())

    def zsh(self, *typed):
        """The command lines after Tab."""
        done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", self.file("zsh"), *typed], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def test_bash_offers_every_command_and_nothing_else_at_first(self):
        words = self.bash("")
        self.assertEqual({word for word in words if not word.startswith("-")}, COMMANDS)
        self.assertIn("--json", words)

    def test_bash_completes_commands_options_shells_and_files(self):
        self.assertEqual(self.bash("conn"), {"connections"})
        self.assertEqual(self.bash("--json", "cou"), {"counters"})
        self.assertEqual(self.bash("flows", "--se"), {"--service"})
        self.assertEqual(self.bash("counters", "--non"), {"--nonzero"})
        self.assertEqual(self.bash("completion", "z"), {"zsh"})
        path = self.file("bash")
        self.assertEqual(self.bash("check", path[:-3]), {path})

    def test_zsh_completes_commands_options_shells_and_files(self):
        path = self.file("zsh")
        lines = {"penstock conn": "penstock connections ", "penstock --json cou": "penstock --json counters ",
                 "penstock flows --se": "penstock flows --service ", "penstock completion b": "penstock completion bash ",
                 f"penstock check {path[:-2]}": f"penstock check {path} "}
        self.assertEqual(self.zsh(*lines), list(lines.values()))

    def test_both_parse_without_complaint(self):
        for shell in ("bash", "zsh"):
            done = subprocess.run([shell, "-n", self.file(shell)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
