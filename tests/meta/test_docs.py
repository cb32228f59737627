"""The documents say what the code does: the generated pages are fresh, the commands exist, the examples work."""

from pathlib import Path
import re
import subprocess
import sys
import textwrap
from typing import get_args

from click.testing import CliRunner
from pydantic import BaseModel, SecretStr
import pytest
import yaml

from bridge import commands, config, config_file, events, registry
from bridge.cli import main
from scripts import example, reference
from tests.meta.test_house import ROOT, checked_in

SECRETS = {
    "JOINLINE_SECRET": "x9Kf02mVbQw7TzLrP4sYh8NdJcEa6GuR",
    "JOINLINE_SMTP_URL": "smtp+starttls://u:p@mail.example.com",
    "JOINLINE_MODEL_KEY": "key",
    "SLACK_BOT_TOKEN": "xoxb-1-2-abc",
    "SLACK_APP_TOKEN": "xapp-1-A-2-abc",
    "SLACK_SIGNING_SECRET": "8f742231b10e8888abcd99yyyzzz85a5",
    "TELEGRAM_TOKEN": "123456:AbCdEfGhIjKlMnOpQrStUvWxYz",
    "TELEGRAM_WEBHOOK_SECRET": "q8Zc3nVw5Xr1Lp7Tk2Sd9Jf4Hg6Bm0Ya",
}
DOCUMENTS = [
    path for path in checked_in(".md") if path.relative_to(ROOT).parts[0] not in {"knowledge", "node_modules"}
]
WRITTEN = {ROOT / name for name in reference.pages()}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for _, body in found]


@pytest.mark.parametrize("name", reference.pages())
def test_generated_pages_are_fresh(name: str):
    assert (ROOT / name).read_text("utf-8") == reference.pages()[name], "run: make docs"


def test_every_key_of_the_configuration_has_a_meaning():
    for path, model in reference.sections(registry.configuration(), ""):
        for name, field in model.model_fields.items():
            inner = reference.inner_models(field.annotation)
            meaning = field.description or (inner[0].__doc__ if inner else "")
            assert len(meaning or "") > 10, f"{path}.{name}"


def test_every_command_and_event_is_documented():
    staff = (ROOT / "docs/reference/commands.md").read_text("utf-8")
    log = (ROOT / "docs/reference/events.md").read_text("utf-8")
    assert all(f"`/{command.usage}`" in staff for command in commands.REGISTRY.values())
    assert all(f"### {event.__name__}," in log and event.__doc__ for event in get_args(events.Event))


def test_the_example_is_a_good_configuration():
    found = config.parse(
        (ROOT / "config.example.yaml").read_text("utf-8"), name="example", folder=ROOT, environ=SECRETS
    )
    assert found.sites["acme"].staff == (("sales",), ("sales", "support"))


@pytest.mark.parametrize(("path", "model"), list(reference.sections(registry.configuration(), "")), ids=str)
def test_a_key_that_is_commented_out_shows_its_default(path: str, model: type[BaseModel]):
    for name, field in model.model_fields.items():
        default = field.get_default()
        if not field.is_required() and not isinstance(default, BaseModel | dict):
            secret = isinstance(default, SecretStr)
            expected = default.get_secret_value() if secret else default
            assert config_file.tuples(config_file.scalar(example.shown(field))) == expected, f"{path}.{name}"


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if p not in WRITTEN], ids=named)
def test_configurations_in_documents_are_good(path: Path, tmp_path: Path):
    """A YAML block is a whole configuration, or the sections that a page adds to the smallest one."""
    (tmp_path / "knowledge").mkdir()
    smallest = {
        "base_url": "https://chat.example.com",
        "secret": SECRETS["JOINLINE_SECRET"],
        "sites": {"acme": {"name": "Acme", "origins": ["https://www.acme.example"]}},
        "staff": {
            "sales": {"name": "Sales desk", "email": "sales@acme.example"},
            "support": {"name": "Support", "email": "support@acme.example"},
        },
    }
    for block in blocks(path, "yaml"):
        whole = yaml.safe_dump(smallest | yaml.safe_load(block))
        config.parse(whole, name=named(path), folder=tmp_path, environ=SECRETS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_python_in_documents_runs(path: Path):
    for block in blocks(path, "python"):
        subprocess.run(
            [sys.executable, "-W", "error", "-c", block], check=True, capture_output=True, timeout=60
        )


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_make_targets_in_documents_exist(path: Path):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = path.read_text("utf-8")
    shell = "\n".join(blocks(path, "sh"))
    for target in re.findall(r"`make ([a-z]+)", text) + re.findall(r"(?m)^\s*make ([a-z]+)", shell):
        assert re.search(rf"(?m)^{target}:", makefile), f"make {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_joinline_commands_in_documents_exist(path: Path):
    for words in re.findall(
        r"(?:bin/|^|`)joinline ((?:[a-z]+|--\S+)[^`\n|]*)", path.read_text("utf-8"), re.MULTILINE
    ):
        name, *rest = words.split()
        assert name in main.commands, f"joinline {words}"
        options = {option for parameter in main.commands[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options | {"--help"}, f"joinline {words}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_between_documents_lead_somewhere(path: Path):
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


def test_what_ci_runs_is_what_people_run():
    text = (ROOT / ".ci/run").read_text("utf-8")
    assert re.findall(r"(?m)^make (\w+)$", text) == ["check", "test"]


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "scripts").glob("*.sh")))
def test_scripts_are_plain_shell(script: str):
    subprocess.run(["sh", "-n", ROOT / "scripts" / script], check=True)


def test_the_command_line_helps():
    answer = CliRunner().invoke(main, ["--help"])
    assert answer.exit_code == 0
    assert all(name in answer.output for name in ("serve", "demo", "check", "version"))


def test_every_key_of_the_configuration_is_read_somewhere():
    code = "\n".join(
        path.read_text("utf-8")
        for path in checked_in(".py")
        if path.relative_to(ROOT).parts[0] in {"bridge", "connectors", "webjoin"}
        and not path.name.startswith("config")
    )
    elsewhere = {"links.days": ".lives"}  # what the code calls them
    unread = [
        f"{path}.{name}".lstrip(".")
        for path, model in reference.sections(registry.configuration(), "")
        for name in model.model_fields
        if path != "patience"  # handed over whole, to bridge.idle
        and not re.search(
            rf"\.{name}\b|{re.escape(elsewhere.get(f'{path}.{name}'.lstrip('.'), '.' + name))}", code
        )
    ]
    assert not unread


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_files_that_documents_name_exist(path: Path):
    for name in re.findall(
        r"`((?:tests|bridge|connectors|webjoin|scripts|demo|docs|bench)/[\w./-]*)`", path.read_text("utf-8")
    ):
        assert (ROOT / name).exists(), name
