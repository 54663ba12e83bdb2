"""check_layers_test.py - each rule of check_layers finds its violation in a small tree, and nothing in a clean one."""
import importlib.machinery
import importlib.util
import pathlib
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("check_layers")
loader = importlib.machinery.SourceFileLoader("check_layers", str(SCRIPT))
spec = importlib.util.spec_from_loader("check_layers", loader)
check_layers = importlib.util.module_from_spec(spec)
loader.exec_module(check_layers)


class TreeTest(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_layers.Checker(root).run()

    def assert_finds(self, files, *parts):
        problems = self.check(files)
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def test_a_clean_tree_has_no_violation(self):
        self.assertEqual(self.check({
            "dataplane/core/be.h": "// be.h - integers.\n#include <cstdint>\n",
            "dataplane/core/CMakeLists.txt": "penstock_library(penstock_core be.cpp LINKS)\n",
            "dataplane/wire/tcp.h": '// tcp.h - views.\n#include "dataplane/core/be.h"\n',
            "dataplane/wire/CMakeLists.txt": "penstock_library(penstock_wire tcp.cpp LINKS penstock_core)\n",
        }), [])

    def test_an_include_against_the_direction_is_found(self):
        self.assert_finds({"dataplane/core/a.cpp": '#include "dataplane/wire/tcp.h"\n'},
                          "dataplane/core/a.cpp:1: [include]", "dataplane/wire")

    def test_system_headers_below_bpf_are_not_ours(self):
        self.assertEqual(self.check({"mgmt/kernel/a.cpp": "#include <bpf/bpf.h>\n"}), [])

    def test_nobody_below_includes_mgmt(self):
        self.assert_finds({"dataplane/app/main.cpp": '#include "mgmt/config/config.h"\n'}, "[include]")

    def test_mgmt_sees_only_its_part_of_the_dataplane(self):
        self.assert_finds({"mgmt/api/a.cpp": '#include "dataplane/control/segment.h"\n#include "dataplane/lb/maglev.h"\n'
                                             '#include "dataplane/flow/flow_table.h"\n'}, "a.cpp:3", "dataplane/flow")

    def test_only_the_daemon_sees_the_route_compiler(self):
        self.assert_finds({"l7/route/match.cpp": '#include "l7/route/compile/compiler.h"\n',
                           "mgmt/compile/a.cpp": '#include "l7/route/compile/compiler.h"\n',
                           "l7/route/compile/b.cpp": '#include "l7/route/match.h"\n',
                           "l7/route/match_test.cpp": '#include "l7/route/compile/compiler.h"\n'},
                          "l7/route/match.cpp:1: [include]")

    def test_nobody_includes_tests_but_tests_beside_the_source_may(self):
        self.assert_finds({"dataplane/l4/nat.cpp": '#include "tests/support/packet.h"\n',
                           "dataplane/l4/nat_test.cpp": '#include "tests/support/packet.h"\n'}, "nat.cpp:1: [include]")

    def test_a_link_against_the_direction_is_found(self):
        self.assert_finds({
            "dataplane/core/CMakeLists.txt": "penstock_library(penstock_core a.cpp\n  LINKS penstock_wire)\n",
            "dataplane/wire/CMakeLists.txt": "penstock_library(penstock_wire b.cpp)\n",
        }, "dataplane/core/CMakeLists.txt:1: [link]", "penstock_wire")

    def test_an_included_folder_must_be_linked(self):
        files = {
            "dataplane/core/CMakeLists.txt": "penstock_library(penstock_core a.cpp)\n",
            "dataplane/wire/CMakeLists.txt": "penstock_library(penstock_wire b.cpp)\n",
            "dataplane/wire/b.cpp": '#include "dataplane/core/be.h"\n',
        }
        self.assert_finds(files, "dataplane/wire/b.cpp:1: [link]")
        files["dataplane/wire/CMakeLists.txt"] = "penstock_library(penstock_wire b.cpp LINKS penstock_core)\n"
        self.assertEqual(self.check(files), [])

    def test_a_cycle_between_mgmt_folders_is_found(self):
        self.assert_finds({"mgmt/api/a.cpp": '#include "mgmt/config/c.h"\n',
                           "mgmt/config/c.cpp": '#include "mgmt/api/a.h"\n'}, "[cycle]", "mgmt/api", "mgmt/config")

    def test_dpdk_headers_stay_in_their_folders(self):
        self.assert_finds({"dataplane/worker/w.cpp": "#include <rte_mbuf.h>\n",
                           "dataplane/io/dpdk/io.cpp": "#include <rte_mbuf.h>\n",
                           "dataplane/flow/flow_bench.cpp": "#include <rte_hash.h>\n"}, "worker/w.cpp:1: [dpdk]")

    def test_worker_side_code_reads_no_clock(self):
        self.assert_finds({"dataplane/worker/w.cpp": "auto t = std::chrono::steady_clock::now();\n"}, "[banned]", "clock")

    def test_each_banned_call_is_found(self):
        for call in ("printf(x);", "std::cerr << x;", "spdlog::info(x);", "auto* p = new Thing();", "malloc(3);",
                     "throw 1;", "std::mutex m;", "usleep(3);"):
            with self.subTest(call=call):
                self.assert_finds({"dataplane/l4/x.cpp": call + "\n"}, "[banned]")

    def test_comments_and_strings_are_not_calls(self):
        self.assertEqual(self.check({"dataplane/l4/x.cpp": '// a new flow; printf(x)\nauto s = "new thing printf(";\n'}), [])

    def test_banned_calls_are_free_in_tests_and_in_mgmt(self):
        self.assertEqual(self.check({"dataplane/l4/x_test.cpp": "printf(x);\n", "mgmt/api/a.cpp": "throw 1;\n"}), [])

    def test_an_escape_needs_a_reason(self):
        call = "auto t = clock_gettime(CLOCK_MONOTONIC, &ts);"
        self.assertEqual(self.check({"dataplane/worker/w.cpp": f"{call}  // check_layers: allow(banned) injected once\n"}), [])
        self.assertEqual(self.check({"dataplane/worker/w.cpp": f"// check_layers: allow(banned) injected once\n{call}\n"}), [])
        self.assert_finds({"dataplane/worker/w.cpp": f"{call}  // check_layers: allow(banned)\n"}, "[banned]")
        self.assert_finds({"dataplane/worker/w.cpp": f"{call}  // check_layers: allow(length) other rule\n"}, "[banned]")

    def test_a_file_above_the_limit_is_found(self):
        self.assertEqual(self.check({"mgmt/api/a.cpp": "int x;\n" * 600}), [])
        self.assert_finds({"mgmt/api/a.cpp": "int x;\n" * 601}, "[length]", "601")

    def test_a_function_above_the_limit_is_found(self):
        def function(lines):
            return "namespace penstock {\n\nint f(int a) {\n" + "  ++a;\n" * lines + "}\n\n}  // namespace penstock\n"
        self.assertEqual(self.check({"mgmt/api/a.cpp": function(60)}), [])
        self.assert_finds({"mgmt/api/a.cpp": function(61)}, "a.cpp:3: [length]", "61")

    def test_a_constructor_with_initialisers_ends_where_it_ends(self):
        body = "A::A(int a)\n    : a_{a} {\n  ++a_;\n}\n\nvoid f() {\n" + "  ++b;\n" * 50 + "  if (b) {\n    c();\n    }\n}\n"
        self.assertEqual(self.check({"mgmt/api/a.cpp": body}), [])

    def test_a_long_class_of_short_functions_is_no_long_function(self):
        body = "".join(f"  int f{i}() {{\n    return {i};\n  }}\n" for i in range(40))
        self.assertEqual(self.check({"mgmt/api/a.h": "// a.h - many.\nclass Many {\n" + body + "};\n"}), [])

    def test_a_header_names_itself_in_its_first_line(self):
        self.assert_finds({"mgmt/api/a.h": "#pragma once\n"}, "a.h:1: [header]")


if __name__ == "__main__":
    unittest.main()
