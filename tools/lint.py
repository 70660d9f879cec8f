#!/usr/bin/python3
"""Keeps the house rules true. `tools/lint.py NAME …` runs only the checks named.

  layers     a module includes only what its DEPS declare
  map        the folder table of ARCHITECTURE.md against src/
  budgets    lines of files, headers and functions; 100 columns
  names      names that say nothing
  calls      what only os/ may call
  docs       files that a document names but nobody has
  skips      tests that were switched off
  leftovers  marks of unfinished work
  scripts    bash and Python parse
  format     clang-format-19
  tidy       clang-tidy-19 on what changed since the upstream branch (or --tidy-all), within
             --tidy-seconds; what was clean and is as it was is not looked at again
"""
import argparse
import ast
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

FILE_LINES_MAX = 800
HEADER_LINES_MAX = 200
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
# "path: function" of what is longer than the budget and may stay for now. Only ever gets shorter.
FUNCTION_RATCHET = set()

BANNED_STEMS = {
    "util",
    "utils",
    "helper",
    "helpers",
    "common",
    "misc",
    "stuff",
    "manager",
    "handler",
    "types",
}
BANNED_TYPE = re.compile(
    r"\b(?:class|struct)\s+(\w*(?:Manager|Handler|Helper|Utils?)|\w+Impl)\b(?!\s*<)"
)

FORBIDDEN_CALLS = [
    (r"std::j?thread\b", "os::Thread"),
    (r"std::this_thread\b", "os::CondVar with a deadline"),
    (r"std::condition_variable\w*", "os::CondVar"),
    (r"std::(?:recursive_|shared_|timed_)*mutex\b", "os::Mutex"),
    (
        r"std::(?:async|future|promise|latch|barrier|counting_semaphore|binary_semaphore)\b",
        "os::Thread and os::CondVar",
    ),
    (r"\b\w*_clock::now\b", "os::Clock"),
    (r"\bstd::random_device|(?<![\w.>:])s?rand\s*\(", "os::Random"),
    (
        r"(?<![\w.>])(?:::)?(?:u|nano)?sleep\s*\(|\bsleep_(?:for|until)\b",
        "os::CondVar with a deadline",
    ),
    (r"(?<![\w>])::(?:poll|ppoll|select)\s*\(|\bepoll_\w+\s*\(", "os::poll_fd"),
    (r"\bpthread_\w+\s*\(", "os::Thread"),
]
FORBIDDEN_FILE_CALLS = [
    (r"(?<![\w.>])(?:std::)?f(?:open|reopen|dopen)\s*\(", "os::Files"),
    # A test may have an engine with a fixed seed.
    (r"\bstd::mt19937\w*", "os::Random"),
    (r"#include <fstream>|\bstd::(?:basic_)?[io]?fstream\b", "os::Files"),
]
TEST_SUFFIXES = ("_test", "_pgtest", "_mytest", "_kafkatest", "_fuzz", "_bench", "_contract")


NOT_OURS = {".git", "build", ".test", ".quickstart"}  # at the top


def git(root, *words):
    command = ["git", "-c", "safe.directory=*", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True)


class Tree:
    """The files of the repository: tracked, or new and not ignored."""

    def __init__(self, root):
        self.root = root
        listing = git(root, "ls-files", "-co", "--exclude-standard", "-z")
        if listing.returncode == 0:
            names = [name for name in listing.stdout.split("\0") if name]
        else:
            paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
            names = [path.as_posix() for path in paths if path.parts[0] not in NOT_OURS]
        self.names = sorted(name for name in set(names) if (root / name).is_file())
        self.texts = {}

    def text(self, name):
        if name not in self.texts:
            self.texts[name] = (self.root / name).read_text(encoding="utf-8", errors="replace")
        return self.texts[name]

    def having(self, *suffixes, under=""):
        return [name for name in self.names if name.endswith(suffixes) and name.startswith(under)]

    def cpp(self, under=""):
        return self.having(".h", ".cpp", under=under)

    def scripts(self, interpreter):
        return [
            name
            for name in self.names
            if "." not in pathlib.PurePath(name).name[1:]
            and re.match(rf"#!.*\b{interpreter}\b", self.text(name))
        ]

    def python(self):
        return sorted(set(self.having(".py") + self.scripts("python3")))


def stem_of(name):
    return pathlib.PurePath(name).stem


def is_test(name):
    words = stem_of(name).split("_")
    return stem_of(name).endswith(TEST_SUFFIXES) or "fake" in words or words[0] == "test"


def without_comments(text):
    """C++ with comments, string and character literals blanked; every line stays where it was."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])*\'',
        re.S,
    )

    def blank(match):
        found = match[0]
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return '"' + re.sub(r"[^\n]", " ", found[1:-1]) + '"'

    return pattern.sub(blank, text)


# ---------------------------------------------------------------------------------- the map


def modules_of(tree):
    """Folder under src/ -> (DEPS, TEST_DEPS) as declared, or None for the composition root."""
    found = {}
    for name in tree.names:
        match = re.match(r"src/(.+)/CMakeLists\.txt$", name)
        if not match:
            continue
        text = re.sub(r"#[^\n]*", "", tree.text(name))
        call = re.search(r"\bmodule\(([^)]*)\)", text)
        if not call:
            found[match[1]] = None
            continue
        lists, current = {}, None
        for word in call[1].split():
            if word in ("NAME", "DEPS", "LIBS", "TEST_DEPS", "SOURCES_FROM"):
                current = word
                lists.setdefault(current, [])
            elif current:
                lists[current].append(word)
        found[match[1]] = (set(lists.get("DEPS", [])), set(lists.get("TEST_DEPS", [])))
    return found


def owner_of(path, modules):
    """The module whose folder holds `path` (relative to src/), else None."""
    parts = path.split("/")[:-1]
    while parts:
        if "/".join(parts) in modules:
            return "/".join(parts)
        parts.pop()
    return None


def check_layers(tree):
    modules = modules_of(tree)
    for name in tree.cpp(under="src/"):
        folder = owner_of(name[len("src/") :], modules)
        if folder is None:
            yield f"{name}: no CMakeLists.txt makes its folder a module"
            continue
        if modules[folder] is None:
            continue
        deps, test_deps = modules[folder]
        allowed = deps | test_deps if is_test(name) else deps
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            match = re.match(r'\s*#\s*include "([^"]+)"', line)
            if not match:
                continue
            target = owner_of(match[1], modules)
            if target is None:
                yield f'{name}:{number}: include "{match[1]}" by its path from src/'
            elif target != folder and target.replace("/", "_") not in allowed:
                yield f"{name}:{number}: {folder} does not declare {target} in its DEPS"


def check_map(tree):
    folders = {"src/" + folder for folder in modules_of(tree)}
    if "ARCHITECTURE.md" not in tree.names:
        if folders:
            yield "ARCHITECTURE.md: missing; it holds the folder table"
        return
    table = set(re.findall(r"^\| `(src/[^`]+?)/?` \|", tree.text("ARCHITECTURE.md"), re.M))
    for folder in sorted(folders - table):
        yield f"ARCHITECTURE.md: the folder table does not name {folder}"
    for folder in sorted(table - folders):
        yield f"ARCHITECTURE.md: the folder table names {folder}, which does not exist"


# ---------------------------------------------------------------------------------- size and names


def cpp_functions(text):
    """(first line, last line, what it is called) of every outermost function body."""
    code = without_comments(text)
    code = re.sub(
        r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.M
    )
    stack, header_from, parentheses = [], 0, 0
    for at, char in enumerate(code):
        if char in "()":
            parentheses = max(0, parentheses + (1 if char == "(" else -1))
        elif char == "{":
            header = code[header_from:at]
            inside = bool(stack) and stack[-1][0] in ("function", "other")
            words = set(re.findall(r"\w+", header.split("(")[0]))
            if "(" in header and not inside and re.search(r"[\w>]$", header):
                kind = "member"  # a_{x} in a constructor's list
            elif inside or parentheses:
                kind = "other"
            elif "namespace" in words or "extern" in words:
                kind = "namespace"
            elif "(" in header and not re.search(r"=\s*$", header):
                kind = "function"
            elif words & {"class", "struct", "union", "enum"}:
                kind = "type"
            else:
                kind = "other"
            stack.append((kind, header_from + len(header) - len(header.lstrip()), header))
            if kind in ("namespace", "type"):
                header_from = at + 1
        elif char == "}" and stack:
            kind, began, header = stack.pop()
            if kind == "function":
                called = re.search(r"([\w:~]+)\s*\(([^)]*)", header)
                title = called[1] if called else "?"
                if title in ("TEST", "TEST_F", "TEST_P"):
                    title += f"({called[2]})"
                yield code.count("\n", 0, began) + 1, code.count("\n", 0, at) + 1, title
            nested = any(entry[0] in ("function", "other", "member") for entry in stack)
            if kind != "member" and not nested:
                header_from = at + 1
        elif char == ";" and not parentheses:
            if not stack or stack[-1][0] in ("namespace", "type"):
                header_from = at + 1
        if char == ":" and stack and stack[-1][0] == "type":
            if re.search(r"\b(?:public|private|protected)\s*$", code[header_from:at]):
                header_from = at + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno, node.name


def long_functions(tree):
    for name in tree.cpp():
        for first, last, title in cpp_functions(tree.text(name)):
            if last - first + 1 > FUNCTION_LINES_MAX:
                yield name, first, last - first + 1, title
    for name in tree.python():
        try:
            functions = list(python_functions(tree.text(name)))
        except SyntaxError:
            continue  # reported by check_scripts
        for first, last, title in functions:
            if last - first + 1 > FUNCTION_LINES_MAX:
                yield name, first, last - first + 1, title


def check_budgets(tree):
    ratchet = set(FUNCTION_RATCHET)
    sources = sorted(set(tree.cpp() + tree.python() + tree.scripts("bash")))
    for name in sources:
        lines = tree.text(name).splitlines()
        public = name.endswith(".h") and not is_test(name)
        limit = HEADER_LINES_MAX if public else FILE_LINES_MAX
        if len(lines) > limit:
            yield f"{name}: {len(lines)} lines, at most {limit}"
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield f"{name}:{number}: {len(line)} columns, at most {COLUMNS_MAX}"
    for name, first, length, title in long_functions(tree):
        if f"{name}: {title}" in ratchet:
            ratchet.remove(f"{name}: {title}")
        else:
            yield f"{name}:{first}: {title} has {length} lines, at most {FUNCTION_LINES_MAX}"
    for entry in sorted(ratchet):
        yield f"tools/lint.py: the ratchet names '{entry}', which is within the budget: remove it"


def check_names(tree):
    for name in sorted(set(tree.cpp() + tree.python() + tree.scripts("bash"))):
        for word in re.split(r"[_\-]", stem_of(name)):
            if word in BANNED_STEMS:
                yield f"{name}: '{word}' says nothing; name what it holds"
    for name in tree.cpp():
        for number, line in enumerate(without_comments(tree.text(name)).splitlines(), 1):
            if match := BANNED_TYPE.search(line):
                yield f"{name}:{number}: '{match[1]}' says nothing; name what it does"


# ---------------------------------------------------------------------------------- what code says


def check_calls(tree):
    for name in tree.cpp(under="src/"):
        if name.startswith("src/os/"):
            continue
        rules = FORBIDDEN_CALLS + ([] if is_test(name) else FORBIDDEN_FILE_CALLS)
        for number, line in enumerate(without_comments(tree.text(name)).splitlines(), 1):
            for pattern, instead in rules:
                if match := re.search(pattern, line):
                    yield f"{name}:{number}: '{match[0].strip()}' only in src/os; use {instead}"


def check_skips(tree):
    for name in tree.cpp() + tree.python():
        if name.startswith(("tests/lint/", "tools/lint.py")):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if match := re.search(
                r"\bDISABLED_\w+|\bGTEST_SKIP\b|\bskipTest\(|unittest\.skip\w*", line
            ):
                yield f"{name}:{number}: {match[0]} switches a test off; repair or remove it"


def check_leftovers(tree):
    for name in tree.names:
        if not name.endswith((".h", ".cpp", ".py", ".cmake", ".txt", ".md", ".sh")):
            continue
        if name.startswith(("tests/lint/", "tools/lint.py")):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if match := re.search(r"\b(?:TODO|FIXME|XXX|HACK)\b", line):
                yield f"{name}:{number}: {match[0]} left; finish it or open an issue"


PATH_ROOTS = ("src/", "tests/", "tools/", "docs/", "bench/", "cmake/", "web/", ".ci/")


def named_paths(text):
    """(offset, path, whether it is a link) of what a document names as a file of ours."""
    for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", match[1]):
            yield match.start(), match[1], True
    for match in re.finditer(r"`([^`\s]+)", text):
        path = match[1].removeprefix("./").rstrip(".,:;")
        if path.startswith(PATH_ROOTS) or match[1].startswith("./"):
            yield match.start(), path, False


def exists(tree, path):
    root = tree.root
    if any(mark in path for mark in "<>${}…") or "NNNN" in path:
        return True  # a pattern for the reader's own value
    if "*" in path:
        return any(root.glob(path))
    return (root / path).exists()


def missing_tests(tree):
    """`Suite.Test` in ARCHITECTURE.md must be a test."""
    if "ARCHITECTURE.md" not in tree.names:
        return
    cited = re.findall(r"`([A-Z]\w+)\.([A-Z]\w+)`", tree.text("ARCHITECTURE.md"))
    code = "\n".join(tree.text(name) for name in tree.having(".cpp", ".h")) if cited else ""
    there = set(re.findall(r"\bTEST(?:_F|_P)?\((\w+),\s*(\w+)\)", code))
    for suite, test in cited:
        if (suite, test) not in there:
            yield f"ARCHITECTURE.md: names the test {suite}.{test}, which does not exist"


def check_docs(tree):
    for name in tree.having(".md"):
        text = tree.text(name)
        prose = re.sub(
            r"^```.*?^```", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.M | re.S
        )
        for offset, path, is_link in named_paths(prose):
            number = text.count("\n", 0, offset) + 1
            if re.search(r"\.(?:cpp|h|py):\d+$", path):
                yield f"{name}:{number}: cites a line number; name the function instead"
            elif is_link and not (tree.root / name).parent.joinpath(path).exists():
                yield f"{name}:{number}: links to {path}, which does not exist"
            elif (
                not is_link
                and not path.startswith(("build/", "farshore.yaml"))
                and not exists(tree, path)
            ):
                yield f"{name}:{number}: names {path}, which does not exist"
    yield from missing_tests(tree)
    for name in tree.cpp() + tree.python():
        if name.startswith(("tests/lint/", "tools/lint.py")):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            for path in re.findall(r"\bdocs/[\w\-./]*\.(?:md|yaml)\b", line):
                if not exists(tree, path):
                    yield f"{name}:{number}: names {path}, which does not exist"


# ---------------------------------------------------------------------------------- programs


def check_scripts(tree):
    bash = tree.scripts("bash") + tree.having(".sh")
    for name in bash:
        done = subprocess.run(["bash", "-n", str(tree.root / name)], capture_output=True, text=True)
        if done.returncode:
            yield f"{name}: {done.stderr.strip()}"
    for name in tree.python():
        try:
            ast.parse(tree.text(name))
        except SyntaxError as error:
            yield f"{name}:{error.lineno}: {error.msg}"
    for name in bash + tree.scripts("python3"):
        if not os.access(tree.root / name, os.X_OK) and not name.endswith(".py"):
            yield f"{name}: has an interpreter line but is not executable"


def check_format(tree):
    names = tree.cpp()
    if not names:
        return
    done = subprocess.run(
        ["clang-format-19", "--dry-run", *names], cwd=tree.root, capture_output=True, text=True
    )
    found = re.findall(
        r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", done.stderr, re.M
    )
    first = {}
    for name, line in found:
        first.setdefault(name, line)
    for name, line in sorted(first.items()):
        yield f"{name}:{line}: not formatted; run ./dev format {name}"
    if done.returncode:
        yield f"clang-format-19: {done.stderr.strip()[:300]}"


def changed_names(tree):
    """Files that differ from where this branch left its upstream, and those not committed yet.

    Where nothing was committed since (a clean clone, CI) it is what the last commit changed; in a
    shallow clone that commit has no parent and has changed everything."""
    left = git(tree.root, "merge-base", "HEAD", "@{upstream}").stdout.strip()
    if left in ("", git(tree.root, "rev-parse", "HEAD").stdout.strip()):
        last = ["show", "--first-parent", "--name-only", "--format=", "HEAD"]
    else:
        last = ["diff", "--name-only", left]
    names = set()
    new = ["ls-files", "-o", "--exclude-standard"]
    for command in (last, ["diff", "--name-only", "HEAD"], new):
        names.update(git(tree.root, *command).stdout.split("\n"))
    return names


def inputs_of(tree, name):
    """The file and all of ours that it includes, however deep."""
    found, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for included in re.findall(r'^\s*#\s*include "([^"]+)"', tree.text(name), re.M):
            for folder in ("src", os.path.dirname(name), "tests"):
                path = os.path.normpath(os.path.join(folder, included))
                if (tree.root / path).is_file():
                    waiting.append(path)
                    break
    return found


def touched(tree, inputs):
    """Of the files, those that changed, and for each changed header one that includes it."""
    changed = changed_names(tree)
    chosen = [name for name in inputs if name in changed]
    for header in sorted(name for name in changed if name.endswith(".h")):
        if not any(header in inputs[name] for name in chosen):
            users = [name for name in inputs if header in inputs[name]]
            users.sort(key=lambda name: (stem_of(name) != stem_of(header), len(inputs[name])))
            chosen += users[:1]
    return chosen


def compile_commands(tree):
    """A configured build folder that compiles each file by itself: FARSHORE_BUILD, else debug."""
    if named := os.environ.get("FARSHORE_BUILD"):
        return pathlib.Path(named)
    folder = tree.root / "build/debug"
    if (folder / "compile_commands.json").exists():
        return folder
    done = subprocess.run(["cmake", "--preset", "debug"], cwd=tree.root, capture_output=True)
    return folder if done.returncode == 0 else None


class TidyRuns:
    """clang-tidy on one file after the other. A file that was clean is not looked at again before
    it, a file that it includes, its compile command or .clang-tidy changes."""

    def __init__(self, tree, folder, inputs, seconds):
        self.tree = tree
        self.folder = folder
        self.inputs = inputs
        self.ends = time.monotonic() + seconds if seconds else None
        self.commands = {
            os.path.relpath(entry["file"], tree.root): entry["command"]
            for entry in json.loads((folder / "compile_commands.json").read_text())
        }
        (folder / "tidy").mkdir(exist_ok=True)

    def state(self, name):
        digest = hashlib.sha256((self.tree.root / ".clang-tidy").read_bytes())
        digest.update(self.commands[name].encode())
        for path in sorted(self.inputs[name]):
            digest.update(f"{path}\n{self.tree.text(path)}".encode())
        return digest.hexdigest()

    def clean_note(self, name):
        return self.folder / "tidy" / name.replace("/", "+")

    def is_clean(self, name):
        note = self.clean_note(name)
        return note.exists() and note.read_text() == self.state(name)

    def look_at(self, name):
        """The findings, or None: there was no time left."""
        left = None if self.ends is None else self.ends - time.monotonic()
        if left is not None and left <= 0:
            return None
        command = ["clang-tidy-19", "-p", str(self.folder), "--quiet", name]
        try:
            done = subprocess.run(
                command, cwd=self.tree.root, capture_output=True, text=True, timeout=left
            )
        except subprocess.TimeoutExpired:
            return None
        pattern = r"^(\S+?:\d+):\d+: (?:warning|error): (.*)$"
        found = [
            where.replace(f"{self.tree.root}/", "") + ": " + message
            for where, message in re.findall(pattern, done.stdout, re.M)
        ]
        if done.returncode and not found:
            said = (done.stdout + done.stderr).strip()
            found = [f"{name}: clang-tidy-19 ended with {done.returncode}: {said[:300]}"]
        if not found:
            self.clean_note(name).write_text(self.state(name))
        return found


def check_tidy(tree, seconds=None, everything=False):
    inputs = {name: inputs_of(tree, name) for name in tree.having(".cpp")}
    folder = compile_commands(tree) if inputs else None
    if inputs and folder is None:
        yield "tidy: the project does not configure; run ./dev build"
    if not folder:
        return
    runs = TidyRuns(tree, folder, inputs, seconds)
    unknown = [name for name in inputs if name in runs.commands and not runs.is_clean(name)]
    chosen = inputs if everything else touched(tree, inputs)
    waiting = [name for name in unknown if name in chosen]
    reported, looked_at = set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        running = {pool.submit(runs.look_at, name): name for name in waiting}
        for done in concurrent.futures.as_completed(running):
            findings = done.result()
            if findings is None:
                continue
            looked_at += 1
            if everything:
                print(f"lint: tidy: {looked_at} of {len(waiting)}: {running[done]}", flush=True)
            yield from sorted(set(findings) - reported)
            reported.update(findings)
    said = f"lint: tidy: {looked_at} files looked at"
    if len(waiting) > looked_at:
        said += f", {len(waiting) - looked_at} not within {seconds:g} s"
    if len(unknown) > len(waiting):
        said += f"; {len(unknown) - len(waiting)} others are not known to be clean: --tidy-all"
    print(said)


CHECKS = {
    name.removeprefix("check_"): function
    for name, function in list(globals().items())
    if name.startswith("check_")
}


def main(argv):
    parser = argparse.ArgumentParser(
        prog="./dev lint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument(
        "--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent
    )
    parser.add_argument("--tidy-seconds", type=float, default=None, help="stop clang-tidy then")
    parser.add_argument("--tidy-all", action="store_true", help="clang-tidy on every file")
    options = parser.parse_args(argv)
    unknown = [name for name in options.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")

    tree = Tree(options.root.resolve())
    total = 0
    for name in options.checks or CHECKS:
        more = {"seconds": options.tidy_seconds, "everything": options.tidy_all}
        for finding in CHECKS[name](tree, **more) if name == "tidy" else CHECKS[name](tree):
            print(f"{name}: {finding}", flush=True)
            total += 1
    print(f"lint: {len(options.checks or CHECKS)} checks, {total} findings")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
