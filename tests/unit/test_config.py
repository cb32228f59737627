"""Configuration: what is accepted, and how every fault is told."""

from pathlib import Path
import textwrap

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge import config, idle
from bridge.config import Config, OpenAIAssistant
from bridge.errors import ConfigError

SECRET = "x9Kf02mVbQw7TzLrP4sYh8NdJcEa6GuR"
GOOD = """
base_url: https://chat.example.com
secret: ${JOINLINE_SECRET}
sites:
  acme: {name: Acme, origins: [https://www.acme.example], staff: [sales, [sales, support]]}
staff:
  sales: {name: Sales desk, email: sales@acme.example}
  support: {name: Support, email: support@acme.example}
"""


def parse(text: str, folder: Path = Path("/srv/joinline"), **environ: str) -> Config:
    environ = {"JOINLINE_SECRET": SECRET} | environ
    return config.parse(textwrap.dedent(text), name="config.yaml", folder=folder, environ=environ)


def faults(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, **environ)
    return caught.value.faults


def only_fault(extra: str, **environ: str) -> str:
    found = faults(GOOD + textwrap.dedent(extra), **environ)
    assert len(found) == 1, found
    return found[0]


# --- what is accepted ----------------------------------------------------------------------------


def test_the_least_that_must_be_said_is_enough():
    found = parse(GOOD)
    assert found.base_url == "https://chat.example.com"
    assert found.sites["acme"].staff == (("sales",), ("sales", "support"))
    assert found.assistant.kind == "none"
    assert found.email is None
    assert found.server.port == 8000


def test_patience_has_the_defaults_of_the_core():
    assert parse(GOOD).patience.core() == idle.Patience()


def test_relative_paths_start_at_the_files_folder(tmp_path: Path):
    (tmp_path / "knowledge").mkdir()
    text = GOOD + "store: sqlite:///chat.db\nassistant: {kind: knowledge, knowledge: ./knowledge}"
    found = parse(text, folder=tmp_path)
    assert found.store == f"sqlite:///{tmp_path}/chat.db"
    assert found.assistant.knowledge == tmp_path / "knowledge"
    absolute = parse(GOOD + "store: sqlite:////var/lib/chat.db", folder=tmp_path)
    assert absolute.store == "sqlite:////var/lib/chat.db"


def test_the_environment_gives_text_numbers_and_lists():
    found = parse(
        GOOD + """
server: {port: "${PORT}", trusted_proxies: ["${PROXY}"]}
assistant: {kind: openai, base_url: "${HOST}/v1/", model: "${MODEL}", api_key: "${KEY}", tools: "${TOOLS}"}
""",
        PORT="81", PROXY="10.0.0.0/8", HOST="http://127.0.0.1:11434", MODEL="7", KEY="true", TOOLS="false",
    )  # fmt: skip
    assistant = found.assistant
    assert isinstance(assistant, OpenAIAssistant)
    assert (found.server.port, found.server.trusted_proxies) == (81, ("10.0.0.0/8",))
    assert (assistant.base_url, assistant.model, assistant.tools) == ("http://127.0.0.1:11434/v1", "7", False)
    assert assistant.api_key.get_secret_value() == "true"
    assert type(assistant.model) is str


def test_a_doubled_dollar_is_a_dollar():
    found = parse(GOOD.replace("name: Acme", 'name: "$${NAME} $5 {x}"'))
    assert found.sites["acme"].name == "${NAME} $5 {x}"


def test_a_secret_may_come_from_a_file(tmp_path: Path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    text = GOOD.replace("${JOINLINE_SECRET}", "${S}")
    assert parse(text, S_FILE=str(tmp_path / "secret")).secret.get_secret_value() == SECRET
    assert faults(text, S_FILE=str(tmp_path / "nope")) == [
        f"config.yaml: secret: cannot read the file that S_FILE names, {tmp_path}/nope: No such file or directory"
    ]
    assert faults(text, S="a", S_FILE="b") == [
        "config.yaml: secret: S and S_FILE are both set; unset one of them"
    ]


def test_norwegian_is_a_language():
    assert parse(GOOD.replace("name: Acme,", "name: Acme, locale: no,")).sites["acme"].locale == "no"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp+starttls://user:pass@mail.example.com:587", ("mail.example.com", 587, "starttls", "user", "pass")),
        ("smtp+starttls://mail.example.com", ("mail.example.com", 587, "starttls", "", "")),
        ("smtps://u:p@mail.example.com", ("mail.example.com", 465, "tls", "u", "p")),
        ("smtp://127.0.0.1:2525/", ("127.0.0.1", 2525, "none", "", "")),
        ("smtp://[::1]:25", ("::1", 25, "none", "", "")),
        ("smtps://a%40b.example:p@s/s:#?w@mail.example.com:1", ("mail.example.com", 1, "tls", "a@b.example", "p@s/s:#?w")),
    ],
)  # fmt: skip
def test_mail_servers(url: str, expected: tuple[object, ...]):
    smtp = parse(GOOD + f"email: {{smtp_url: '{url}', from: chat@acme.example}}").email.smtp_url
    assert (smtp.host, smtp.port, smtp.tls, smtp.user, smtp.password.get_secret_value()) == expected


def test_senders():
    def sender(text: str) -> tuple[str, str]:
        found = parse(GOOD + f"email: {{smtp_url: smtp://localhost, from: '{text}'}}").email.sender
        return found.name, found.address

    assert sender("chat@acme.example") == ("", "chat@acme.example")
    assert sender("Acme Chat <chat@acme.example>") == ("Acme Chat", "chat@acme.example")
    assert sender('"Acme, Inc." <chat@acme.example>') == ("Acme, Inc.", "chat@acme.example")


def test_base_urls_are_told_as_a_browser_writes_them():
    assert (
        parse(GOOD.replace("chat.example.com", "Chat.Example.com:443/")).base_url
        == "https://chat.example.com"
    )


# --- faults --------------------------------------------------------------------------------------


def test_every_fault_is_told_at_once_in_the_order_of_the_file():
    found = faults(
        """
        base_url: ftp://chat.example.com
        secret: short
        stor: sqlite:///joinline.db
        server: {port: "80", port: 81}
        sites:
          acme: {name: Acme, origins: [https://www.acme.example/], staff: [sales, slaes, [nobody]], postion: end}
        staff:
          sales: {name: Sales desk, email: sales}
        assistant: {kind: opnai}
        patience: {close: -1, ladder: [60, 30]}
        log: {level: informative}
        """
    )
    assert found == [
        (
            'config.yaml: base_url: must begin with https:// or http://, got "ftp://chat.example.com"; '
            "it looks like https://www.example.com"
        ),
        "config.yaml: secret: is too short, 5 of at least 32 characters; make one with: openssl rand -base64 32",
        'config.yaml: stor: there is no such key; did you mean "store"?',
        "config.yaml: server.port: is there twice, the second time in line 5; keep one",
        (
            'config.yaml: sites.acme.origins[0]: write it as a browser sends it: "https://www.acme.example", '
            'got "https://www.acme.example/"'
        ),
        'config.yaml: sites.acme.staff[1]: no such person "slaes" in staff; did you mean "sales"?',
        'config.yaml: sites.acme.staff[2][0]: no such person "nobody" in staff; known here: sales',
        'config.yaml: sites.acme.postion: there is no such key; did you mean "position"?',
        'config.yaml: staff.sales.email: "sales" is no email address; it looks like sales@example.com',
        'config.yaml: assistant.kind: expected one of none, knowledge, openai, got "opnai"; did you mean "openai"?',
        "config.yaml: patience.close: must be more than 0, got -1",
        "config.yaml: patience.ladder: each step comes later than the one before, such as [60, 180]",
        'config.yaml: log.level: expected "debug", "info", "warning" or "error", got "informative"',
    ]


def test_what_is_needed_says_what_it_is_for():
    assert faults("") == [
        "config.yaml: base_url: is needed: The server's own public address",
        "config.yaml: secret: is needed: At least 32 random characters that sign what leaves the server",
        "config.yaml: sites: is needed: The websites that carry the widget, by the id that `data-site` names",
    ]


@pytest.mark.parametrize(
    "secret", ["changeme" * 5, "x" * 64, "secret-secret-secret-secret-secret", "1234567890" * 4]
)
def test_secrets_that_can_be_guessed_are_refused(secret: str):
    assert "can be guessed" in faults(GOOD, JOINLINE_SECRET=secret)[0]


@given(
    st.text(
        alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", min_size=5, max_size=31
    )
)
def test_a_secret_is_never_shown(secret: str):
    assert f" {secret}" not in faults(GOOD, JOINLINE_SECRET=secret)[0]
    wrong = faults(GOOD + f"email: {{smtp_url: 'smtp://u:{secret}@-:x', from: a@b.example}}")
    assert secret not in "".join(wrong)


def test_secrets_are_masked_when_a_configuration_is_printed():
    email = "email: {smtp_url: 'smtps://user:hunter2hunter2@mail.example.com', from: chat@acme.example}"
    found = parse(GOOD + email)
    assert SECRET not in repr(found)
    assert "hunter2" not in repr(found)
    assert str(found.email.smtp_url) == "smtps://user:***@mail.example.com:465"


def test_an_unset_variable_is_one_fault():
    found = faults(GOOD.replace("${JOINLINE_SECRET}", "${JOINLINE_SECERT}"))
    assert found == [
        (
            "config.yaml: secret: the environment variable JOINLINE_SECERT is not set; "
            "set it, or set JOINLINE_SECERT_FILE to the path of a file that holds the value"
        ),
    ]
    assert "is empty" in faults(GOOD, JOINLINE_SECRET="")[0]


def test_a_key_twice_is_refused_anywhere():
    assert only_fault("server: {port: 1}\nserver: {port: 2}") == (
        "config.yaml: server: is there twice, the second time in line 10; keep one"
    )


def test_what_is_no_yaml_is_told_with_its_line():
    assert faults("base_url: [") == [
        "config.yaml: line 1, column 12: not YAML: expected the node content, but found '<stream end>'"
    ]
    assert "expected keys with values" in faults("[1, 2]")[0]


def test_an_alias_that_holds_itself_is_refused():
    assert "nests too deep" in faults(GOOD + "patience: &a {ladder: [*a]}")[-1]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("server: {port: 70000}", "server.port: must be at most 65535, got 70000"),
        ("server: {port: 1.5}", "server.port: expected a whole number, got 1.5"),
        ("server: {port: yes}", 'server.port: expected a whole number, got "yes"'),
        ("server: [1]", "server: expected keys with values, got a list"),
        ("server: {trusted_proxies: ['*']}", 'trusted_proxies[0]: "*" is no address or network such as'),
        ("limits: {sockets: 0}", "limits.sockets: must be at least 1, got 0"),
        ("links: {days: 400}", "links.days: must be at most 365, got 400"),
        ("store: postgres://x", 'store: expected sqlite:///joinline.db, memory://, redis://, redis+sentinel:// or redis+cluster://, got "postgres://x"'),
        ("assistant: {}", "assistant.kind: is needed: one of none, knowledge, openai"),
        ("assistant: {kind: knowledge, knowledge: /nope}", "assistant.knowledge: there is no folder /nope"),
        ("assistant: {kind: openai, base_url: 'https://u:p@h', model: m}", "a key has a setting of its own"),
        ("assistant: {kind: none, model: m}", "assistant.model: there is no such key; known here: kind"),
        ("email: {smtp_url: mail.example.com, from: a@b.example}", "email.smtp_url: must begin with smtp+starttls://"),
        ("email: {smtp_url: 'smtp://u@h', from: a@b.example}", "email.smtp_url: user and password go together"),
        ("email: {smtp_url: 'smtp://u:p@h', from: a@b.example}", "email.smtp_url: the password would travel unencrypted to h"),
        ("email: {smtp_url: 'smtp://h', form: a@b.example, from: a@b.example}", 'email.form: there is no such key; did you mean "from"?'),
        ("email: {smtp_url: 'smtp://h', from: \"A\\nBcc: x <a@b.example>\"}", "email.from: the name is one line"),
    ],
)  # fmt: skip
def test_faults(extra: str, message: str):
    assert message in only_fault(extra)


@pytest.mark.parametrize(
    "origin",
    ["https://www.acme.example/", "*", "https://*.acme.example", "www.acme.example", "https://WWW.acme.example",
     "https://www.acme.example:443", "http://a b", "https://münchen.example", "null", "https://x.example/?q", 7],
)  # fmt: skip
def test_origins_are_exact(origin: object):
    found = faults(GOOD.replace("https://www.acme.example", f"'{origin}'" if origin != 7 else "7"))
    assert len(found) == 1
    assert "sites.acme.origins[0]" in found[0]


def test_ids_of_staff_and_sites_are_plain():
    found = faults(
        GOOD.replace("  support:", "  'sup~1':").replace(" support]", " 'sup~1']").replace("acme:", "Ac me:")
    )
    assert [line.partition(": an id")[0] for line in found] == [
        "config.yaml: sites.Ac me",
        "config.yaml: staff.sup~1",
    ]


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_list_of_faults(text: str):
    assert faults(text)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no such file; begin with a copy of"):
        config.load(tmp_path / "config.yaml")


def test_what_is_allowed_but_hardly_meant_is_noted():
    assert parse(GOOD).notes() == [
        "assistant: is none, so nobody but people answers",
        "nobody is told when a chat starts: set email, or a chat platform of your team",
    ]
    notes = parse(
        GOOD.replace("https://chat", "http://chat").replace(", staff: [sales, [sales, support]]", "")
        + "store: memory://\nemail: {smtp_url: smtp://mail.example.com, from: a@b.example}"
    ).notes()
    assert [note.partition(":")[0] for note in notes] == [
        "base_url",
        "assistant",
        "store",
        "email.smtp_url",
        "sites.acme.staff",
    ]


# --- the chat platforms --------------------------------------------------------------------------

SLACK = "slack: {bot_token: xoxb-1, app_token: xapp-1, channel: C0123456789}"
TELEGRAM = "telegram: {token: '123456:abcdefghijkl', chat: -1001234567890}"


@pytest.mark.parametrize(("section", "name"), [(SLACK, "slack"), (TELEGRAM, "telegram")])
def test_a_token_that_would_travel_in_the_clear_is_noted(section: str, name: str):
    for url, noted in (
        ("http://api.example.com", True),
        ("http://127.0.0.1:8081", False),
        ("http://[::1]:8081", False),
        ("https://api.example.com", False),
    ):
        notes = parse(f"{GOOD}{section[:-1]}, api_url: '{url}'}}").notes()
        assert (f"{name}.api_url" in str(notes)) == noted


def test_a_platform_is_asked_for_by_its_section():
    config = parse(GOOD + SLACK)
    assert config.slack.staff == ("channel-members",)
    assert config.slack.on_duty == (("here",),)
    assert config.telegram is None
    assert "nobody is told" not in str(config.notes())
    assert parse(GOOD + TELEGRAM).telegram.staff == ("members",)


def test_ids_of_a_platform_are_texts_and_groups():
    telegram = parse(
        GOOD + "telegram: {token: '123456:abcdefghijkl', chat: -1, staff: [7, 8], on_duty: [7, [8, 9]]}"
    ).telegram
    assert telegram.staff == ("7", "8")
    assert telegram.on_duty == (("7",), ("8", "9"))


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("slack: {bot_token: xoxp-7, app_token: xapp-1, channel: C012}", "slack.bot_token: begins with xoxb-; this is something else"),
        ("slack: {bot_token: xoxb-1, channel: C012}", "slack: needs one of app_token, for Socket Mode, and signing_secret, for HTTP events"),
        ("slack: {bot_token: xoxb-1, app_token: xapp-1, signing_secret: s, channel: C012}", "slack: needs one of app_token"),
        ("slack: {bot_token: xoxb-1, app_token: xapp-1, channel: general}", "slack.channel: expected a channel's id such as C0123456789, got \"general\""),
        ("slack: {bot_token: xoxb-1, app_token: xapp-1, channel: C012, staff: all}", 'slack.staff: expected a list, or channel-members, got "all"'),
        ("slack: {bot_token: xoxb-1, app_token: xapp-1, channel: C012, on_duty: [[team]]}", "slack.on_duty[0][0]: expected a member's or user group's id, here or channel, got \"team\""),
        ("telegram: {token: 123456-abcdefghijkl, chat: -1}", "telegram.token: expected a bot's token such as 123456:AbC..., got a value that is not shown"),
        ("telegram: {token: '123456:abcdefghijkl', chat: 5}", "telegram.chat: must be less than 0, got 5"),
        ("telegram: {token: '123456:abcdefghijkl', chat: -5, mode: webhook}", "telegram: webhook_secret and mode: webhook go together"),
        ("telegram: {token: '123456:abcdefghijkl', chat: -5, staff: [dana]}", 'telegram.staff[0]: expected a user\'s id, got "dana"'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_platform_is_said_in_place(section: str, fault: str):
    with pytest.raises(ConfigError) as refused:
        parse(GOOD + section)
    assert fault in str(refused.value)
    assert "123456-abc" not in str(refused.value)
