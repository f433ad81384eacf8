#!/usr/bin/env python3
import pathlib
import unittest

import script_test
import tidy


class Tidy(unittest.TestCase):
    def test_finds_each_break_with_its_line(self):
        caf = "includes CAF"
        rows = [
            ("runtime/a.cpp", "\n#include <caf/actor.hpp>\n", [(2, caf)]),
            ("gpu/a.cu", "#include <caf/actor.hpp>\n", [(1, caf)]),
            ("actors/engine/scheduler/policy.cpp", '#include "caf/actor.hpp"\n', [(1, caf)]),
            ("actors/kernel/kernel.cpp", "#include <caf/actor.hpp>\n", []),
            ("runtime/a.cpp", "// #include <caf/actor.hpp>\n", []),
            ("actors/a.cpp", "std::thread t;\n", [(1, "std")]),
            ("actors/a.cpp", "std::jthread t;\n", [(1, "std")]),
            ("actors/a.cpp", "auto f = std::async(g);\n", [(1, "std")]),
            ("actors/a.cpp", "std::recursive_mutex m;\n", [(1, "std")]),
            ("actors/a.cpp", "std::condition_variable_any c;\n", [(1, "std")]),
            ("actors/a.cpp", "#include <mutex>\n", [(1, "#include <mutex>")]),
            ("actors/a.cpp", "std::this_thread::yield();  // no std::thread\n", []),
            ("runtime/a.cpp", "std::thread t;\n", []),
            ("actors/a.cpp", "using  namespace caf;\n", [(1, "using namespace caf")]),
            ("tools/a.hpp", "int f();\n", [(1, "a header without #pragma once")]),
            ("tools/a.hpp", "#pragma once\n" + "x" * 101, [(2, "101 columns")]),
            ("tools/a.cpp", "é" * 100, []),
            ("tools/a.cpp", "int a; \n", [(1, "white space at the end of the line")]),
        ]
        for path, text, want in rows:
            with self.subTest(path=path, text=text):
                found = list(tidy.findings(pathlib.Path(path), text))
                self.assertEqual([n for n, _ in found], [n for n, _ in want])
                for (_, what), (_, start) in zip(found, want):
                    self.assertTrue(what.startswith(start), what)


if __name__ == "__main__":
    script_test.main()
