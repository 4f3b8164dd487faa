"""The sources of settings: the command line, the environment and a file. The errors for wrong settings."""

import json

import pytest

from support.confab_process import confab, run
from support.raw_client import handshake, head, request


@pytest.fixture
def file(tmp_path):
    """Returns a function that writes a configuration file."""
    def write(text):
        path = tmp_path / "confab.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path
    return write


def effective(*arguments, env=None):
    """Returns each setting's value and source from `confab check`."""
    result = run("check", *arguments, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    lines = (line.split(" = ", 1) for line in result.stdout.splitlines())
    return {name: tuple(part.strip() for part in rest.rsplit("(", 1)) for name, rest in lines}


def complaints(*arguments, env=None):
    result = run("check", *arguments, env=env)
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert all(line.startswith("confab: ") for line in lines)
    return [line.removeprefix("confab: ") for line in lines]


def test_command_line_overrides_environment_overrides_file(file):
    path = file({"port": 1, "max-fragments": 1, "max-backlog": "1KiB", "allow-origin": ["https://file.example"]})
    env = {"CONFAB_PORT": "2", "CONFAB_MAX_FRAGMENTS": "2", "CONFAB_ALLOW_ORIGIN": "https://a.example,https://b.example"}
    found = effective("--config", path, "--port", 3, env=env)
    assert found["port"] == ("3", "command line)")
    assert found["max-fragments"] == ("2", "CONFAB_MAX_FRAGMENTS)")
    assert found["max-backlog"] == ("1KiB", f"{path})")
    assert found["allow-origin"] == ("https://a.example,https://b.example", "CONFAB_ALLOW_ORIGIN)")
    assert found["max-rooms"] == ("10000", "default)")
    assert effective("--config", path, "--allow-origin=*", env=env)["allow-origin"] == ("*", "command line)")
    found = effective(env={"CONFAB_CONFIG": str(path)})
    assert (found["config"], found["port"]) == ((str(path), "CONFAB_CONFIG)"), ("1", f"{path})"))


def test_every_kind_of_setting_can_be_in_the_file(file):
    path = file("""{
      // The file may have comments, and a comma at the end.
      "host": "127.0.0.1", "require-origin": true, "compression": false, "idle-timeout": 40.5, "max-message-rate": 7,
      "allow-host": "one.example", "log-level": "debug",
    }""")
    found = effective("--config", path, "--no-require-origin")
    values = ["host", "require-origin", "compression", "idle-timeout", "max-message-rate", "allow-host", "log-level"]
    assert [found[name][0] for name in values] == ["127.0.0.1", "false", "false", "40.5", "7", "one.example", "debug"]


def test_server_applies_settings_of_file_and_environment(file):
    path = file({"max-path-length": 10, "require-origin": True})
    with confab(env={"CONFAB_CONFIG": str(path), "CONFAB_REQUIRE_ORIGIN": "false"}) as server:
        assert request(server.port, head({"Host": "localhost"}, "GET /eleven-bytes HTTP/1.1"))[0] == 414
        assert request(server.port, handshake())[0] == 101


def test_all_errors_are_reported_with_their_source(file):
    path = file({
        "prot": 1, "max-mesage-size": 1, "port": "many", "log-level": "loud", "max-backlog": "1TB", "loops": 0,
        "require-origin": "perhaps", "max-text-length": None, "web-root": "/no/such/folder"})
    said = complaints("--config", path, "--idle-timeout", 20, env={"CONFAB_MAX_FRAGMENTS": "0"})
    assert said == [
        f"{path}: log-level must be trace, debug, info, notice, warning, error, critical, not 'loud'",
        f"{path}: max-backlog must be a size in bytes, or with a unit, like 64KiB, 1MiB or 1GiB, not '1TB'",
        f"{path}: there is no setting 'max-mesage-size'; the most similar one is 'max-message-size'",
        f"{path}: max-text-length must be a whole number, not null",
        f"{path}: port must be a whole number, not 'many'",
        f"{path}: there is no setting 'prot'; the most similar one is 'port'",
        f"{path}: require-origin must be true or false, not 'perhaps'",
        f"{path}: loops must be 1 to 64, not 0",
        "CONFAB_MAX_FRAGMENTS must be 1 to 1073741824, not 0",
        "--ping-interval must be less than --idle-timeout, but is 30 s with 20 s",
        f"{path}: web-root: there is no folder '/no/such/folder' to serve at /",
    ]
    served = run("serve", "--config", path)
    assert served.returncode == 1 and served.stdout == ""
    assert served.stderr.startswith(f"confab: {path}: log-level") and "confab check" in served.stderr
    assert len(served.stderr.splitlines()) == 1


@pytest.mark.parametrize("text, reason", [
    ('{ "port": 1', "not JSON"), ("[1]", "object"), ('{ "port": {} }', "port must be a whole number, not an object"),
    ('{ "config": "other.json" }', "no setting 'config'"), ('{ "anything": 1 }', "no setting 'anything'; 'confab serve --help'"),
])
def test_invalid_configuration_file_is_an_error(file, text, reason):
    said, = complaints("--config", file(text))
    assert reason in said


def test_missing_configuration_file_is_an_error(tmp_path):
    assert complaints("--config", tmp_path / "none.json") == [f"{tmp_path}/none.json: the file cannot be read: No such file or directory"]
    assert complaints("--config", tmp_path) == [f"{tmp_path}: the file cannot be read: Is a directory"]


def test_errors_name_the_option():
    assert complaints("--idle-timeout", 1, "--max-message-size", 0) == [
        "--max-message-size must be 1 to 1073741824, not 0",
        "--ping-interval must be less than --idle-timeout, but is 30 s with 1 s"]
    assert complaints("--tls-cert", "some.pem") == ["--tls-cert and --tls-key need each other"]
    assert complaints("--allow-host", "https://example.org") == [
        "--allow-host: 'https://example.org' is not a host: it must be a name or an address, without a port, like example.org"]
    assert complaints(env={"CONFAB_ALLOW_ORIGIN": "https://a.example, b.example"}) == [
        "CONFAB_ALLOW_ORIGIN: 'b.example' is not an origin: it must be like https://example.org, null or *"]


@pytest.mark.parametrize("option", ["--config", "--history", "--web-root", "--host", "--tls-cert", "--nats-creds"])
def test_empty_value_is_not_ignored(option):
    """This happens with an unset shell variable."""
    assert f"{option} must not be empty" in complaints(option, "")


@pytest.mark.parametrize("option, value, allowed", [
    ("--max-message-size", "10GB", "a size in bytes, or with a unit"), ("--drain", "20s", "a number of seconds"),
    ("--admin", "9090", "a host and a port"), ("--log-level", "loud", "trace, debug"), ("--log-format", "xml", "text or json"),
])
def test_errors_name_the_accepted_values(option, value, allowed):
    for command in "serve", "check":
        result = run(command, option, value)
        assert result.returncode == 64 and len(result.stderr.splitlines()) == 1
        assert f"'{value}' is invalid for '{option}" in result.stderr and f"it must be {allowed}" in result.stderr


def test_admin_and_client_addresses_must_differ():
    for options in ([], ["--host", "127.0.0.1"], ["--host", "0.0.0.0"]):
        assert complaints("--port", 9999, "--admin", "127.0.0.1:9999", *options) == [
            "--admin and --port are the same address"]
    assert effective("--port", 9999, "--admin", "127.0.0.1:9998")["admin"] == ("127.0.0.1:9998", "command line)")


def test_invalid_history_options_are_errors(tmp_path):
    for name, reason in ((tmp_path / "none" / "x.db", "No such file or directory"), (tmp_path, "Is a directory")):
        assert complaints("--history", name) == [f"--history: '{name}' cannot be written: {reason}"]
    assert complaints("--history", tmp_path / "x.db", "--max-history-file-size", 10) == [
        "--max-history-file-size must be 1048576 to 1099511627776, not 10"]
    assert not list(tmp_path.iterdir())


def test_invalid_nats_options_are_errors():
    for url in "http://user:secret@h", "nats:/user:secret@h", "nats://user:secret@h:99999", "user:secret@h":
        assert complaints("--nats", url) == ["--nats must be like nats://host:4222 or tls://host:4222"]
        assert complaints(env={"CONFAB_NATS": url}) == ["CONFAB_NATS must be like nats://host:4222 or tls://host:4222"]
    assert effective("--nats", "nats://user:secret@h:4222")["nats"] == ("nats://...@h:4222", "command line)")
    assert complaints("--nats", "nats://h", "--nats-stream", "a.b", "--nats-replicas", 2, "--nats-cert", "x.pem") == [
        "--nats-stream must be 1 to 32 of A to Z, a to z, 0 to 9, - and _", "--nats-replicas must be 1, 3 or 5, not 2",
        "--nats-cert and --nats-key need each other", "--nats-cert: 'x.pem' cannot be read: No such file or directory"]
    assert complaints("--nats", "nats://h", "--nats-max-bytes", "64KiB") == [
        "--nats-max-bytes must be at least 8KiB more than --max-message-size: a larger message would be deleted at once"]


def test_every_option_is_a_setting(file):
    """`--help`, files and the environment share one table."""
    dumped = json.loads(run("serve", "--experimental-dump-help").stdout)
    names = [name for one in dumped["command"]["arguments"] if (name := one["preferredName"]["name"])
             not in ("help", "version") and not name.startswith("no-")]
    assert list(effective()) == names
