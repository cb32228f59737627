"""The rules of the house: which way imports run, how long files are, what no file may hold."""

import ast
from pathlib import Path
import re
import subprocess

import pytest

ROOT = Path(__file__).parents[2]
PURE = (
    "events", "state", "rules", "conversation", "commands", "idle", "wire", "inbound", "shape", "text", "errors",
)  # fmt: skip
MOST_LINES = 400


def checked_in(*suffixes: str) -> list[Path]:
    """Files of the tree that git knows or would add; what is ignored is not ours."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    found = [ROOT / name for name in listed if not suffixes or name.endswith(suffixes)]
    return [path for path in found if path.is_file()]


def modules(package: str) -> list[Path]:
    return [path for path in checked_in(".py") if path.relative_to(ROOT).parts[0] == package]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_the_tree_was_found():
    assert {"bridge", "connectors", "webjoin", "tests"} <= {
        p.relative_to(ROOT).parts[0] for p in checked_in(".py")
    }


def test_the_core_imports_no_connector_and_only_the_registry_names_them():
    for path in modules("bridge"):
        wrong = {
            name for name in imports(path) if name.partition(".")[0] in {"connectors", "webjoin", "tests"}
        }
        assert not wrong, f"{path} imports {wrong}"
        if path.name != "registry.py":
            named = {text for text in strings(path) if re.fullmatch(r"(connectors|webjoin)(\.\w+)*", text)}
            assert not named, f"{path} names {named}; only bridge/registry.py does"


def test_connectors_import_the_bridge_and_nothing_of_each_other():
    for package in ("connectors", "webjoin"):
        for path in modules(package):
            own = ".".join(path.relative_to(ROOT).parts[:2]) if package == "connectors" else package
            allowed = (
                {"connectors.text", "connectors.spans", "connectors.threads"}
                if package == "connectors"
                else set()
            )
            for name in imports(path):
                top = name.partition(".")[0]
                if top in {"connectors", "webjoin", "tests", "bench", "scripts"}:
                    ours = name == own or name.startswith(f"{own}.")
                    assert ours or any(name.startswith(a) for a in allowed), f"{path} imports {name}"


@pytest.mark.parametrize("name", PURE)
def test_the_pure_core_does_no_io_and_reads_no_clock(name: str):
    path = ROOT / "bridge" / f"{name}.py"
    forbidden = {
        "asyncio", "socket", "time", "random", "secrets", "os", "pathlib", "sqlite3", "logging", "threading",
        "subprocess", "fastapi", "uvicorn", "httpx", "io",
    }  # fmt: skip
    assert not {i.partition(".")[0] for i in imports(path)} & forbidden
    calls = re.findall(
        r"\b(?:datetime\.(?:now|utcnow|today)|date\.today|open|print)\(", path.read_text("utf-8")
    )
    assert not calls


def test_files_fit_in_a_head():
    shipped = {"bridge", "connectors", "webjoin", "demo", "scripts"}
    code = checked_in(".py", ".js", ".css", ".sql", ".sh", ".d.ts")
    ours = [path for path in code if path.relative_to(ROOT).parts[0] in shipped]
    long = {
        str(path.relative_to(ROOT)): count
        for path in ours
        if (count := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert not long


# Hosts of package registries and folders of somebody's machine, written so that this file does not hold them.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"registry\.npm" + r"js", r"registry\.yarn" + r"pkg", r"files\.python" + r"hosted", r"py" + r"pi\.org",
            r"deb\.debi" + r"an\.org", r"(?<![\w.])/wo" + r"rk/", r"(?<![\w.])/ro" + r"ot/", r"(?<![\w.])/ho" + r"me/\w",
            r"--index-u" + r"rl ", r"--find-li" + r"nks ", r"--trusted-h" + r"ost ",
        ]
    )
)  # fmt: skip


def test_no_file_names_a_registry_or_somebodys_machine():
    for path in checked_in():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found = FORBIDDEN.search(text)
        assert not found, f"{path.relative_to(ROOT)} holds {found[0]!r}" if found else ""


def test_lock_files_pin_every_package_with_its_hash():
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text("utf-8")
        pinned = re.findall(r"^([a-z0-9._-]+)==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)
        named = re.findall(r"^([a-z0-9._-]+)[=<>~@ ]", text, re.MULTILINE)
        assert pinned == named
    lock = (ROOT / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/')


def test_no_task_is_left_to_do():
    for path in checked_in(".py", ".js", ".css", ".sql", ".sh", ".html", ".j2"):
        if path != Path(__file__):
            assert not re.search(r"\b(?:TODO|FIXME|XXX)\b", path.read_text("utf-8")), path


def test_the_dark_values_are_the_same_by_setting_and_by_choice():
    """tokens.css says them twice, since no selector joins a media query with an attribute."""
    sheet = (ROOT / "bridge" / "web" / "tokens.css").read_text("utf-8")
    by_setting, by_choice = re.split(r"@media \(prefers-color-scheme: dark\)", sheet)[1].split(
        ':root[data-color-scheme="dark"]'
    )
    values = [re.findall(r"([\w-]+): ([^;]+);", part) for part in (by_setting, by_choice)]
    assert values[0] == values[1]
    assert len(values[0]) > 15
