"""The rules of docs/how-it-fits.md, checked on the source: nothing here runs the package.

The first half is the checker, a few pure functions from a tree of files to a list of findings; the second half
runs it on ntklab and on small trees that break one rule each.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Room(NamedTuple):
    """What one folder (or top-level file) of the package may import, besides the standard library."""

    rooms: frozenset[str]
    packages: frozenset[str]


def room(rooms: str = "", packages: str = "") -> Room:
    return Room(frozenset(rooms.split()), frozenset(packages.split()))


ARRAYS = "numpy scipy jaxtyping"
JAX = "jax numpy jaxtyping"
MATHS = "errors _core spec data kernel engine gram solve predict finite"
EVERYTHING = f"{MATHS} testing studies report _version"

TABLE = {
    "errors": room(),
    "_version": room(),
    "_core": room("errors", f"{JAX} tqdm"),
    "spec": room("errors"),
    "data": room("errors", "numpy jaxtyping sklearn PIL"),
    "kernel": room("errors _core spec", JAX),
    # never kernel or engine: it is their oracle; scipy: Lanczos on products with the tangent kernel
    "finite": room("errors _core spec", f"{JAX} scipy diffrax optax equinox flax"),
    "engine": room("errors _core spec kernel finite", f"{JAX} numba llvmlite"),  # finite: in one file, see below
    "gram": room("errors _core engine", f"{JAX} tensorstore dask distributed dask_jobqueue"),
    "solve": room("errors _core", f"{ARRAYS} jax"),  # jax: products sharded over devices and processes
    "predict": room("errors solve", f"{ARRAYS} jax diffrax"),  # both in one file: the ODE of a general loss
    "compat": room("errors spec kernel engine finite solve predict", JAX),  # a translation: computes nothing
    # all of it needs scikit-learn, so nobody imports it at the top
    "estimators": room("errors _core spec engine gram solve predict", f"{JAX} sklearn"),
    "testing": room(MATHS, f"{JAX} scipy"),
    "studies": room(f"{MATHS} testing", f"{JAX} scipy sklearn"),
    "report": room("errors _core", "numpy matplotlib"),
    "__init__": room(EVERYTHING),
    "cli": room(f"{EVERYTHING} __init__", "jax numpy click"),
}
"""Rooms from low to high. Nobody may import ``cli``, and a folder without a line here is a finding."""

OPTIONAL = frozenset(
    {
        "sklearn",
        "matplotlib",
        "diffrax",
        "equinox",
        "flax",
        "optax",
        "PIL",
        "numba",
        "llvmlite",
        "dask",
        "distributed",
        "dask_jobqueue",
        "tensorstore",
        "zarr",
    }
)
"""Packages that may be absent: imported at the top of files that are themselves imported only when asked."""

ASKED_FOR = {"estimators": "sklearn"}
"""Rooms that as a whole need an optional package: nobody imports them but inside functions."""

LONGEST = 300
LONGER: dict[str, str] = {}
"""Modules that may have more than LONGEST lines, each with its reason."""

MACHINE_PATH = re.compile(r"(?<![\w.:/~-])(?:/(?:home|root|Users|tmp|work|mnt|opt)/\w|[A-Z]:\\\w)")


class Import(NamedTuple):
    """One imported module: ``target`` is a module of the package where that can be told, else as written."""

    target: str
    line: int
    lazy: bool  # inside a function: only when it is called


class Tree:
    """The parsed files of one package."""

    def __init__(self, folder: Path) -> None:
        self.package = folder.name
        self.files: dict[str, Path] = {}
        self.texts: dict[str, str] = {}
        self.asts: dict[str, ast.Module] = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((self.package, *parts)).removesuffix(".__init__")
            self.files[name] = path
            self.texts[name] = path.read_text(encoding="utf-8")
            self.asts[name] = ast.parse(self.texts[name])

    def room(self, module: str) -> str:
        parts = module.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    def imports(self, module: str) -> Iterator[Import]:
        lazy = {
            id(inner)
            for outer in ast.walk(self.asts[module])
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for inner in ast.walk(outer)
        }
        for node in ast.walk(self.asts[module]):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                names = [f"{base}.{alias.name}" for alias in node.names]
                targets = [name if name in self.files else base for name in names]
            elif isinstance(node, ast.Call) and _dotted(node.func).split(".")[-1] in ("import_module", "__import__"):
                first = node.args[0] if node.args else None
                targets = [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
            else:
                continue
            for target in targets:
                yield Import(target, node.lineno, id(node) in lazy)

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = module.split(".") + ([""] if self.files[module].name == "__init__.py" else [])
        return ".".join([*here[: len(here) - node.level], *filter(None, [node.module])])

    def graph(self, lazy: bool = True) -> dict[str, set[str]]:
        """Return which modules of the package each module imports by name."""
        return {
            name: {i.target for i in self.imports(name) if i.target in self.files and (lazy or not i.lazy)} - {name}
            for name in self.files
        }


def check_table(tree: Tree, table: dict[str, Room]) -> list[str]:
    """Find imports that the table does not allow, and rooms that it does not know."""
    found = []
    for name in tree.files:
        own = tree.room(name)
        if own not in table:
            found.append(f"{name}: the room {own!r} has no line in the table of tests/test_architecture.py")
            continue
        for target, line, _ in tree.imports(name):
            at, top = f"{name}:{line}", target.split(".")[0]
            if top != tree.package:
                if top not in sys.stdlib_module_names and top not in table[own].packages:
                    found.append(f"{at}: {own} may not import the package {top}")
                continue
            other = tree.room(target)
            if other == own:
                continue
            if other not in table[own].rooms:
                found.append(f"{at}: {own} may not import {other} (room by room: docs/how-it-fits.md)")
            if any(part.startswith("_") for part in target.split(".")[2:]):
                found.append(f"{at}: {target} is private to {other}; import from {tree.package}.{other}")
    return found


def check_private_names(tree: Tree) -> list[str]:
    """Find ``from ntklab.other import _name``: private names are as private as private files."""
    found = []
    for name, parsed in tree.asts.items():
        for node in ast.walk(parsed):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == tree.package:
                other = tree.room(node.module or "")
                private = [a.name for a in node.names if a.name.startswith("_") and not a.name.startswith("__")]
                if other not in ("__init__", tree.room(name)) and private:
                    found.append(f"{name}:{node.lineno}: {', '.join(private)} is private to {other}")
    return found


def check_cycles(tree: Tree) -> list[str]:
    """Find a cycle of imports, those inside functions included."""
    try:
        TopologicalSorter(tree.graph()).prepare()
    except CycleError as error:
        return ["modules import each other: " + " -> ".join(error.args[1])]
    return []


def check_jax(tree: Tree) -> list[str]:
    """Find JAX's private parts, and whatever changes JAX for the whole process."""
    found = []
    for name, parsed in tree.asts.items():
        configs = {"jax.config"}
        for node in ast.walk(parsed):
            if isinstance(node, ast.ImportFrom) and node.module == "jax":
                configs |= {alias.asname or alias.name for alias in node.names if alias.name == "config"}
        for node in ast.walk(parsed):
            at = f"{name}:{getattr(node, 'lineno', 0)}"
            words = []
            if isinstance(node, ast.Import):
                words = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                words = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute):
                words = [_dotted(node)]
            if any(f"{word}.".startswith(("jax._src.", "jaxlib.")) for word in words):
                found.append(f"{at}: jax._src and jaxlib are JAX's private parts")
            if isinstance(node, ast.Call) and _writes_settings(node, configs):
                found.append(f"{at}: the package never touches jax.config or the environment")
            for target in _targets(node):
                if isinstance(target, ast.Attribute) and _dotted(target.value) in configs:
                    found.append(f"{at}: the package never touches jax.config or the environment")
                if isinstance(target, ast.Subscript) and _dotted(target.value).endswith("environ"):
                    found.append(f"{at}: the package never touches jax.config or the environment")
    return found


def _writes_settings(call: ast.Call, configs: set[str]) -> bool:
    dotted = _dotted(call.func)
    if dotted in {f"{config}.update" for config in configs}:
        return True
    if dotted == "setattr" and call.args:
        return _dotted(call.args[0]) in configs
    return dotted in ("os.putenv", "putenv") or dotted.endswith(("environ.update", "environ.setdefault"))


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def check_lengths(tree: Tree, longer: dict[str, str]) -> list[str]:
    """Find long files, and exceptions that are no longer needed."""
    lengths = {name: text.count("\n") for name, text in tree.texts.items()}
    found = [
        f"{name}: {lines} lines, at most {LONGEST}"
        for name, lines in lengths.items()
        if lines > LONGEST and name not in longer
    ]
    return found + [f"{name}: an exception without need" for name in longer if lengths.get(name, 0) <= LONGEST]


def check_exports(tree: Tree) -> list[str]:
    """Find names that an ``__init__`` imports in another way than ``from m import X as X``."""
    found = []
    for name, parsed in tree.asts.items():
        if tree.files[name].name != "__init__.py":
            continue
        for node in parsed.body:
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                plain = [alias.name for alias in node.names if alias.asname != alias.name]
                found += [f"{name}:{node.lineno}: write `import {word} as {word}`" for word in plain]
            elif not isinstance(node, ast.Expr | ast.ImportFrom):
                found.append(f"{name}:{node.lineno}: an __init__ holds a docstring and re-exports, nothing else")
    return found


def check_optional(tree: Tree, optional: frozenset[str], asked_for: Collection[str] = ()) -> list[str]:
    """Find optional packages in files that importing a room would import with it, rooms that are asked for apart."""
    graph = tree.graph(lazy=False)
    inits = [name for name, path in tree.files.items() if path.name == "__init__.py"]
    reached = [name for name in inits if tree.room(name) not in asked_for]
    for name in reached:
        reached += sorted(graph[name] - set(reached))
    return [
        f"{name}:{line}: {target} is optional; import it in a file of its own, which is imported when asked"
        for name in reached
        for target, line, lazy in tree.imports(name)
        if target.split(".")[0] in optional and not lazy
    ]


def check_lazy_optional(tree: Tree, optional: frozenset[str]) -> list[str]:
    """Find optional packages inside functions: they sit at the top of the one file that needs them."""
    return [
        f"{name}:{line}: import {target} at the top of a file of its own"
        for name in tree.files
        for target, line, lazy in tree.imports(name)
        if target.split(".")[0] in optional and lazy
    ]


def check_docstrings(tree: Tree) -> list[str]:
    """Find public modules, functions, classes and methods without a docstring."""
    found = []
    for name, parsed in tree.asts.items():
        scopes: list[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef]] = [(name, parsed)]
        for scope, node in scopes:
            if not ast.get_docstring(node) and not _is_overload(node):
                found.append(f"{scope}: no docstring")
            if isinstance(node, ast.FunctionDef):
                continue
            for inner in ast.iter_child_nodes(node):
                if isinstance(inner, ast.FunctionDef | ast.ClassDef) and not inner.name.startswith("_"):
                    scopes.append((f"{scope}.{inner.name}", inner))
    return found


def _is_overload(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return isinstance(node, ast.FunctionDef) and any(_dotted(word) == "overload" for word in node.decorator_list)


def check_paths(texts: dict[str, str]) -> list[str]:
    """Find paths of somebody's machine."""
    return [
        f"{name}:{number}: {match.group()}... is a path of one machine"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        for match in MACHINE_PATH.finditer(line)
    ]


# --- ntklab itself -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(ROOT / "ntklab")


def test_every_import_is_allowed_by_the_table(tree):
    assert check_table(tree, TABLE) == []


def test_no_closed_form_rests_on_finite_networks(tree):
    """Their agreement is a check only as long as neither side looks at the other."""
    looking = {
        name for name in tree.files if any(target.startswith("ntklab.finite") for target, *_ in tree.imports(name))
    }
    assert {name for name in looking if tree.room(name) in ("kernel", "engine")} == {"ntklab.engine._sampled"}


def test_no_room_imports_a_private_name_of_another(tree):
    assert check_private_names(tree) == []


def test_no_modules_import_each_other(tree):
    assert check_cycles(tree) == []


def test_the_table_itself_has_one_direction():
    """A line may name only rooms above it, so that the table cannot drift into a cycle."""
    above: set[str] = set()
    for name, line in TABLE.items():
        assert line.rooms <= above, f"{name} names rooms that do not come before it: {sorted(line.rooms - above)}"
        above.add(name)
    assert not any("cli" in line.rooms for line in TABLE.values())


def test_the_table_in_the_documentation_is_this_one():
    text = (ROOT / "docs/how-it-fits.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE))
    written = {name: set(re.findall(r"`(\w+)`", rooms)) for name, rooms in rows.items() if rooms.strip() != "all"}
    assert written == {
        name: set(line.rooms) for name, line in TABLE.items() if name not in ("__init__", "_version", "cli")
    }
    assert rows["cli"].strip() == "all"


def test_the_package_stays_on_the_public_side_of_jax_and_leaves_its_settings_alone(tree):
    assert check_jax(tree) == []


def test_files_are_short(tree):
    assert check_lengths(tree, LONGER) == []


def test_an_init_re_exports_by_name_and_does_nothing_else(tree):
    assert check_exports(tree) == []


def test_optional_packages_are_imported_only_when_asked(tree):
    assert check_optional(tree, OPTIONAL, ASKED_FOR) == []
    assert check_lazy_optional(tree, OPTIONAL) == []


def test_importing_every_room_loads_no_optional_package(tree):
    rooms = [n for n, path in tree.files.items() if path.name == "__init__.py" and tree.room(n) not in ASKED_FOR]
    code = f"import sys, {', '.join(rooms)}; print(sorted(set({sorted(OPTIONAL)}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_room_that_is_asked_for_says_which_extra_it_needs():
    for name, package in ASKED_FOR.items():
        code = f"import sys; sys.modules['{package}'] = None\nimport ntklab.{name}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"pip install 'ntklab[{package}]'" in done.stderr.splitlines()[-1]


def test_everything_public_has_a_docstring(tree):
    assert check_docstrings(tree) == []


def test_no_file_names_a_place_on_somebodys_machine():
    folders = ("ntklab", "tests", "docs", "benchmarks", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml", ".cff")]
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in ("", ".py", ".md", ".json", ".toml", ".txt", ".cff", ".csv")
        and path.name != Path(__file__).name
    }
    assert check_paths(texts) == []


# --- the checker can fail ----------------------------------------------------------------------------------

SMALL = {"__init__": room("low high"), "low": room(packages="numpy"), "high": room("low", "numpy jax")}


GOOD = {
    "__init__": '"""Doc."""\n\nfrom p.high import f as f\n',
    "low/__init__": '"""Doc."""\n\nfrom p.low._a import g as g\n',
    "low/_a": '"""Doc."""\n\nimport numpy as np\n\n\ndef g():\n    """Doc."""\n    return np\n',
    "low/_c": '"""Doc."""\n\nfrom p.low._a import g\n\n_KEPT = g\n',
    "high/__init__": '"""Doc."""\n\nfrom p.high._b import f as f\n',
    "high/_b": '"""Doc."""\n\nimport jax\n\nfrom p.low import g\n\n\ndef f():\n    """Doc."""\n    return g, jax\n',
}


def plant(folder: Path, changed: dict[str, str] | None = None) -> Tree:
    """Write the package ``p`` of two rooms, with these files changed or added."""
    for name, text in (GOOD | (changed or {})).items():
        path = folder / "p" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(folder / "p")


def findings(tree: Tree) -> list[str]:
    found = check_table(tree, SMALL) + check_private_names(tree) + check_cycles(tree) + check_jax(tree)
    found += check_lengths(tree, {}) + check_exports(tree) + check_docstrings(tree) + check_paths(tree.texts)
    return found + check_optional(tree, OPTIONAL) + check_lazy_optional(tree, OPTIONAL)


def test_a_tree_that_keeps_the_rules_has_no_findings(tmp_path):
    assert findings(plant(tmp_path)) == []


@pytest.mark.parametrize(
    ("file", "line", "finding"),
    [
        ("low/_a", "from p.high import f", "low may not import high"),
        ("low/_a", "from ..high import f", "low may not import high"),
        ("low/_a", "import p.high", "low may not import high"),
        ("low/_a", "def _h():\n    from p.high import f\n    return f", "low may not import high"),
        ("low/_a", "import importlib\n_h = importlib.import_module('p.high')", "low may not import high"),
        ("low/_a", "from p import f", "low may not import __init__"),
        ("low/_a", "import jax", "low may not import the package jax"),
        ("high/_b", "from p.low._a import g as _h", "p.low._a is private to low"),
        ("high/_b", "from p.low import _a", "private to low"),
        ("high/_b", "import p.low._a", "p.low._a is private to low"),
        ("high/_b", "from p.low import _name", "_name is private to low"),
        ("new/__init__", '"""Doc."""', "the room 'new' has no line"),
        ("new", '"""Doc."""', "the room 'new' has no line"),
        ("low/_a", "from p.low._c import _KEPT", "modules import each other"),
        ("high/_b", "import jax._src.core", "private parts"),
        ("high/_b", "from jax import _src", "private parts"),
        ("high/_b", "_h = jax._src.core.Trace", "private parts"),
        ("high/_b", "jax.config.update('jax_enable_x64', True)", "never touches jax.config or the environment"),
        (
            "high/_b",
            "from jax import config as c\nc.update('jax_enable_x64', True)",
            "never touches jax.config or the environment",
        ),
        ("high/_b", "jax.config.jax_enable_x64 = True", "never touches jax.config or the environment"),
        ("high/_b", "setattr(jax.config, 'jax_enable_x64', True)", "never touches jax.config or the environment"),
        ("high/_b", "import os\nos.environ['JAX_PLATFORMS'] = 'cpu'", "never touches jax.config or the environment"),
        (
            "high/_b",
            "import os\nos.environ.setdefault('JAX_PLATFORMS', 'cpu')",
            "never touches jax.config or the environment",
        ),
        ("low/_a", "\n" * 300, "lines, at most 300"),
        ("low/__init__", "from p.low._a import g", "write `import g as g`"),
        ("low/__init__", "X = 1", "an __init__ holds a docstring and re-exports"),
        ("low/_a", "def h():\n    return 1", "p.low._a.h: no docstring"),
        ("low/_a", "class H:\n    '''Doc.'''\n    def h(self):\n        return 1", "p.low._a.H.h: no docstring"),
        ("low/_a", "import sklearn", "sklearn is optional"),
        ("low/_a", "def _h():\n    import optax\n    return optax", "import optax at the top of a file of its own"),
        ("low/_a", "_h = '" + "/".join(("", "home", "ada", "data")) + "'", "is a path of one machine"),
    ],
)
def test_each_broken_rule_is_found(tmp_path, file, line, finding):
    tree = plant(tmp_path, {file: GOOD.get(file, "") + line + "\n"})
    assert any(finding in found for found in findings(tree))


def test_an_optional_package_may_sit_in_a_file_that_is_imported_when_asked(tmp_path):
    asks = '"""Doc."""\n\n\ndef g():\n    """Doc."""\n    from p.low import _s\n\n    return _s\n'
    tree = plant(tmp_path, {"low/_s": '"""Doc."""\n\nimport sklearn as sklearn\n', "low/_a": asks})
    assert check_optional(tree, OPTIONAL) + check_lazy_optional(tree, OPTIONAL) == []


def test_an_exception_for_length_must_be_needed(tmp_path):
    assert check_lengths(plant(tmp_path), {"p.low._a": "because"}) == ["p.low._a: an exception without need"]


def test_reading_jax_settings_and_local_ones_are_no_findings(tmp_path):
    text = "import jax\n\nwith jax.enable_x64(True):\n    f = jax.config.jax_enable_x64\n"
    assert check_jax(plant(tmp_path, {"high/_b": text})) == []
