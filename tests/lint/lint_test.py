#!/usr/bin/python3
"""Plants violations of each house rule in a small tree; tools/lint.py must name just those."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from lab import junit  # noqa: E402

CLEAN = {
    "ARCHITECTURE.md": "| folder | holds |\n| --- | --- |\n| `src/base` | words |\n"
    "| `src/log` | a log |\n| `src/log/file` | on disk |\n",
    "src/base/CMakeLists.txt": "module(NAME base)\n",
    "src/base/word.h": "#pragma once\n\nint word();\n",
    "src/log/CMakeLists.txt": "module(NAME log DEPS base LIBS fmt::fmt TEST_DEPS log_file)\n",
    "src/log/log.cpp": '#include "base/word.h"\n',
    "src/log/file/CMakeLists.txt": "module(NAME log_file DEPS base)\n",
    "src/log/file/file.h": "#pragma once\n",
}


class LintTest(unittest.TestCase):
    def lint(self, check, files):
        with tempfile.TemporaryDirectory() as outer:
            folder = pathlib.Path(outer, "build")  # as the copies of `./dev bugs` are
            for name, text in {**CLEAN, **files}.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                if text.startswith("#!"):
                    path.chmod(0o755)
            done = subprocess.run(
                [sys.executable, str(ROOT / "tools/lint.py"), "--root", folder, check],
                capture_output=True,
                text=True,
            )
        lines = done.stdout.splitlines()
        self.assertTrue(lines, done.stderr)
        self.assertEqual(done.returncode, 1 if len(lines) > 1 else 0, done.stdout + done.stderr)
        return [line.removeprefix(check + ": ") for line in lines[:-1]]

    def finds(self, check, name, text, *expected):
        found = self.lint(check, {name: text})
        self.assertEqual(len(found), len(expected), found)
        for line, part in zip(found, expected):
            self.assertIn(part, line)

    def test_a_clean_tree_has_no_findings(self):
        for check in (
            "layers",
            "map",
            "budgets",
            "names",
            "calls",
            "docs",
            "skips",
            "leftovers",
            "scripts",
            "format",
        ):
            self.assertEqual(self.lint(check, {}), [], check)

    # layers
    def test_an_include_that_deps_do_not_declare(self):
        self.finds(
            "layers",
            "src/base/word.cpp",
            '#include "log/log.h"\n',
            "src/base/word.cpp:1: base does not declare log",
        )

    def test_an_include_of_a_nested_module_is_not_one_of_its_parent(self):
        self.finds(
            "layers",
            "src/log/log.cpp",
            '#include "log/file/file.h"\n',
            "src/log/log.cpp:1: log does not declare log/file",
        )

    def test_tests_may_use_test_deps(self):
        self.assertEqual(
            self.lint("layers", {"src/log/log_test.cpp": '#include "log/file/file.h"\n'}), []
        )

    def test_an_include_that_is_not_a_path_from_src(self):
        self.finds(
            "layers", "src/base/word.cpp", '#include "word.h"\n', 'include "word.h" by its path'
        )

    def test_a_source_outside_every_module(self):
        self.finds(
            "layers", "src/stray/stray.cpp", "int x;\n", "no CMakeLists.txt makes its folder"
        )

    def test_the_composition_root_may_name_everything(self):
        self.assertEqual(
            self.lint(
                "layers",
                {
                    "src/daemon/CMakeLists.txt": "add_executable(farshore main.cpp)\n",
                    "src/daemon/main.cpp": '#include "log/file/file.h"\n#include "base/word.h"\n',
                },
            ),
            [],
        )

    # map
    def test_a_folder_that_the_table_does_not_name(self):
        self.finds(
            "map",
            "src/link/CMakeLists.txt",
            "module(NAME link DEPS base)\n",
            "does not name src/link",
        )

    def test_a_folder_of_the_table_that_does_not_exist(self):
        self.finds(
            "map",
            "ARCHITECTURE.md",
            CLEAN["ARCHITECTURE.md"] + "| `src/gone` | nothing |\n",
            "names src/gone",
        )

    # budgets
    def test_a_file_a_header_and_a_line_that_are_too_long(self):
        self.finds("budgets", "src/base/long.cpp", "\n" * 801, "801 lines, at most 800")
        self.finds("budgets", "src/base/long.h", "\n" * 201, "201 lines, at most 200")
        self.finds(
            "budgets", "src/base/wide.cpp", "// " + "x" * 98 + "\n", "wide.cpp:1: 101 columns"
        )
        self.assertEqual(self.lint("budgets", {"src/base/wide.cpp": "// " + "ü" * 97 + "\n"}), [])

    def test_a_function_that_is_too_long(self):
        body = "  int x = 0;\n" * 69
        self.finds(
            "budgets",
            "src/base/a.cpp",
            "namespace a {\nint long_one(int y) {\n" + body + "}\n}\n",
            "src/base/a.cpp:2: long_one has 71 lines",
        )
        self.assertEqual(
            self.lint(
                "budgets",
                {"src/base/a.cpp": "int just_fits() {\n" + body[: -len("  int x = 0;\n")] + "}\n"},
            ),
            [],
        )

    def test_long_functions_of_every_shape(self):
        body = "  f();\n" * 70
        for text, title in (
            ("struct A {\n public:\n  int method() const {\n" + body + "}\n};\n", "method"),
            ("A::A(int x)\n    : a_(x), b_{x} {\n" + body + "}\n", "A::A"),
            ("TEST(Log, Keeps) {\n" + body + "}\n", "TEST(Log, Keeps)"),
            ("template <class T>\nauto made(T t) -> int {\n" + body + "}\n", "made"),
            ("void lambdas() {\n  auto x = [&] {\n" + body + "};\n}\n", "lambdas"),
        ):
            found = self.lint("budgets", {"src/base/a.cpp": text})
            self.assertEqual(len(found), 1, (title, found))
            self.assertIn(title + " has", found[0])

    def test_long_types_namespaces_and_tables_are_not_functions(self):
        for text in (
            "struct A {\n" + "  int x();\n" * 100 + "};\n",
            "namespace {\n" + "int x();\n" * 100 + "}\n",
            "const int table[] = {\n" + "  1,\n" * 100 + "};\n",
            '// f() {\nconst char* text = "{ ( ";\n' + "int x();\n" * 100,
        ):
            self.assertEqual(self.lint("budgets", {"src/base/a.cpp": text}), [])

    def test_a_python_function_that_is_too_long(self):
        self.finds("budgets", "tools/a.py", "def f():\n" + "    x = 1\n" * 70, "f has 71 lines")

    # names
    def test_names_that_say_nothing(self):
        self.finds("names", "src/base/string_util.cpp", "\n", "'util' says nothing")
        self.finds("names", "src/base/types.h", "\n", "'types' says nothing")
        self.finds(
            "names", "src/base/a.h", "class StreamManager {};\n", "'StreamManager' says nothing"
        )
        self.assertEqual(self.lint("names", {"src/base/a.h": "struct Impl;\n"}), [])

    # calls
    def test_calls_that_only_os_may_make(self):
        for line in (
            "std::thread t;",
            "std::jthread t;",
            "std::this_thread::yield();",
            "std::condition_variable c;",
            "std::mutex m;",
            "std::future<int> f;",
            "auto t = std::chrono::steady_clock::now();",
            "int r = rand();",
            "std::random_device d;",
            "sleep(1);",
            "::usleep(1);",
            "int r = ::poll(f, 1, 0);",
            "epoll_wait(e, v, 1, 0);",
            'FILE* f = fopen(name, "r");',
            "std::ifstream in(name);",
        ):
            self.assertEqual(len(self.lint("calls", {"src/base/a.cpp": line + "\n"})), 1, line)

    def test_calls_that_are_allowed(self):
        for line in (
            "// std::thread is forbidden",
            'auto s = "std::mutex";',
            "queue.poll(1);",
            "operand(3);",
            "world.clock().monotonic();",
            "os::poll_fd(fd);",
        ):
            self.assertEqual(self.lint("calls", {"src/base/a.cpp": line + "\n"}), [], line)
        self.assertEqual(
            self.lint(
                "calls",
                {
                    "src/os/CMakeLists.txt": "module(NAME os)\n",
                    "src/os/thread.cpp": "std::thread t;\n",
                },
            ),
            [],
        )

    # docs
    def test_documents_that_name_missing_files(self):
        self.finds(
            "docs", "README.md", "see `src/base/gone.h`\n", "README.md:1: names src/base/gone.h"
        )
        self.finds("docs", "docs/a.md", "\n[there](../docs/gone.md)\n", "docs/a.md:2: links to")
        self.finds("docs", "README.md", "run `./gone now`\n", "names gone")
        self.finds(
            "docs",
            "src/base/a.h",
            "// Format: docs/formats/gone.md\n",
            "names docs/formats/gone.md",
        )
        self.finds("docs", "README.md", "see `src/base/word.h:3`\n", "cites a line number")

    def test_an_architecture_that_names_a_missing_test(self):
        text = CLEAN["ARCHITECTURE.md"] + "\n`Log.Keeps` and `Log.Loses`\n"
        found = self.lint(
            "docs", {"ARCHITECTURE.md": text, "src/log/log_test.cpp": "TEST(Log, Keeps) {}\n"}
        )
        self.assertEqual(found, ["ARCHITECTURE.md: names the test Log.Loses, which does not exist"])

    def test_documents_that_name_what_is_there(self):
        self.assertEqual(
            self.lint(
                "docs",
                {
                    "README.md": "`src/base/word.h` [a](ARCHITECTURE.md#x) `src/*/CMakeLists.txt` "
                    "[b](https://example.org/x) `docs/adr/NNNN-title.md`\n"
                },
            ),
            [],
        )

    # skips, leftovers, scripts, format
    def test_tests_that_are_switched_off(self):
        self.finds(
            "skips", "src/base/a_test.cpp", "TEST(A, DISABLED_b) {}\n", "DISABLED_b switches"
        )
        self.finds("skips", "src/base/a_test.cpp", "GTEST_SKIP();\n", "GTEST_SKIP switches")
        self.finds("skips", "tests/a.py", "@unittest.skip('x')\n", "unittest.skip switches")

    def test_marks_of_unfinished_work(self):
        self.finds("leftovers", "src/base/a.cpp", "// TODO later\n", "src/base/a.cpp:1: TODO left")

    def test_scripts_that_do_not_parse(self):
        self.finds("scripts", "tools/a", "#!/usr/bin/env bash\nif true\n", "tools/a")
        self.finds("scripts", "tools/a.py", "def f(:\n", "tools/a.py:1")

    def test_code_that_is_not_formatted(self):
        self.finds("format", "src/base/a.cpp", "int   x ;\n", "src/base/a.cpp:1: not formatted")


# Stands for clang-tidy-19: notes the file, and finds the word "waste" in it.
TIDY = """#!/bin/sh
for name; do :; done
echo "$name" >> build/looked_at
grep -Hn waste "$name" | sed "s|^|$PWD/|; s|:// waste.*|:1: error: waste [x]|"
! grep -q waste "$name"
"""


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("build/bin/clang-tidy-19", TIDY).chmod(0o755)
        self.write(".gitignore", "/build/\n")
        self.write(".clang-tidy", "Checks: '*'\n")
        self.write("src/base/word.h", "#pragma once\n")
        names = [f"src/base/{stem}.cpp" for stem in ("one", "two", "word_test")]
        for name in names[:2]:
            self.write(name, '#include "base/word.h"\n')
        self.write(names[2], "// waste\n")
        commands = [{"file": str(self.root / name), "command": "c++"} for name in names]
        self.write("build/compile_commands.json", json.dumps(commands))
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            self.git(*words)
        self.write("README", "")
        self.git("add", "-A")
        self.git("commit", "-qm", "no code")

    def git(self, *words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=self.root, check=True)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def tidy(self, *options):
        """The findings, and the stems of the files that were looked at."""
        looked_at = self.write("build/looked_at", "")
        done = subprocess.run(
            [ROOT / "tools/lint.py", "--root", self.root, "tidy", *options],
            env={
                **os.environ,
                "PATH": f"{self.root}/build/bin:{os.environ['PATH']}",
                "FARSHORE_BUILD": str(self.root / "build"),
            },
            capture_output=True,
            text=True,
        )
        found = [line for line in done.stdout.splitlines() if line.startswith("tidy: ")]
        self.assertEqual(done.returncode, 1 if found else 0, done.stdout + done.stderr)
        return found, sorted(pathlib.Path(x).stem for x in looked_at.read_text().split())

    def test_a_changed_header_is_looked_at_through_a_file_that_includes_it(self):
        self.assertEqual(self.tidy(), ([], []))
        self.write("src/base/word.h", "#pragma once\nint word();\n")
        self.assertEqual(self.tidy(), ([], ["one"]))

    def test_what_was_clean_and_is_as_it_was_is_not_looked_at_again(self):
        found = ["tidy: src/base/word_test.cpp:1: waste [x]"]
        self.assertEqual(self.tidy("--tidy-all"), (found, ["one", "two", "word_test"]))
        self.assertEqual(self.tidy("--tidy-all"), (found, ["word_test"]))
        self.write("src/base/word.h", "#pragma once\nint word();\n")
        self.assertEqual(self.tidy("--tidy-all"), (found, ["one", "two", "word_test"]))


if __name__ == "__main__":
    junit.main()
