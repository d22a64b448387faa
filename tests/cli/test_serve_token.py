"""Who may ask a server: its token, and addresses that others can reach."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner
from server import serving

from realm_engine.cli.main import main
from realm_engine.verbs.serve.settings import ServeSettings

TOKEN = "a-token.of_22~letters+"


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token.txt"
    file.write_text(TOKEN + "\n")
    return file


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_token_that_is_set_is_wanted(bundle_path, token_file):
    with serving(bundle_path, "--token-file", token_file, "--access-log") as server:
        for path in ("/v1/info", "/v1/measures", "/metrics", "/nowhere"):
            assert server.get(path).code == 401
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert server.get(path).code == 200
        wrong = ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xff"]
        for token in wrong:
            answer = server.post("/v1/score", ("images", "a", b"x"), headers=bearer(token))
            assert (answer.code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.error.startswith("this server wants its token")
        assert server.get("/v1/info", {"Authorization": f"Basic {TOKEN}"}).code == 401
        assert server.get("/v1/info", {"Authorization": f"bearer {TOKEN}"}).code == 200
        assert server.post("/v1/score", ("images", "a", b"x"), headers=bearer(TOKEN)).code == 200
        schemes = server.get("/openapi.json").json["components"]["securitySchemes"]
        assert schemes["HTTPBearer"] == {"type": "http", "scheme": "bearer"}
        assert server.end() == 0
        assert not any(TOKEN in line for line in server.lines)


def test_a_token_from_the_environment(bundle_path):
    with serving(bundle_path, environment={"REALM_SERVE_TOKEN": TOKEN}) as server:
        assert server.get("/v1/info").code == 401
        assert server.get("/v1/info", bearer(TOKEN)).code == 200


def test_pages_of_an_origin_that_was_named_may_ask(bundle_path, token_file):
    origin = "https://example.org"
    with serving(bundle_path, "--token-file", token_file, "--allow-origin", origin) as server:
        asks = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        before = server.ask("OPTIONS", "/v1/score", None, asks)
        assert (before.code, before.headers["access-control-allow-origin"]) == (200, origin)
        refused = server.get("/v1/info", {"Origin": origin})
        assert (refused.code, refused.headers["access-control-allow-origin"]) == (401, origin)
        assert server.get("/v1/info", {"Origin": origin, **bearer(TOKEN)}).code == 200
        other = server.get("/v1/info", {"Origin": "https://example.com", **bearer(TOKEN)})
        assert other.code == 403 and "access-control-allow-origin" not in other.headers


WRONG = [
    (["--host", "0.0.0.0"], {}, "--host 0.0.0.0 can be reached from other machines, and no token is set"),
    (["--host", "::"], {}, "--host :: can be reached from other machines, and no token is set"),
    (["--token-file", "nowhere"], {}, "--token-file nowhere: cannot be read (No such file or directory)"),
    ([], {"REALM_SERVE_TOKEN": ""}, "REALM_SERVE_TOKEN: no token of 16 to 512 letters, digits and ._~+/-"),
    ([], {"REALM_SERVE_TOKEN": "secret"}, "REALM_SERVE_TOKEN: no token of 16 to 512 letters"),
    (["--token-file", "x"], {"REALM_SERVE_TOKEN": TOKEN}, "--token-file contradicts REALM_SERVE_TOKEN"),
    (["--allow-origin", "*"], {}, "--allow-origin *: write SCHEME://HOST[:PORT]"),
    (["--queue", "9", "--max-images", "10"], {}, "--queue 9 would never take the 10 images of one request"),
    (["--max-upload", "many"], {}, "--max-upload: 'many' is no amount of memory"),
    (["--host", "no.such.host.invalid"], {"REALM_SERVE_TOKEN": TOKEN}, "cannot listen there ("),
    (["--with", "./nowhere"], {}, "nowhere"),
]


@pytest.mark.parametrize(("options", "environment", "says"), WRONG, ids=lambda v: str(v)[:30])
def test_what_cannot_be_served_says_why_in_one_line(bundle_path, options, environment, says):
    done = CliRunner(env=environment).invoke(
        main, ["serve", "--port", "0", "--bundle", str(bundle_path), *options]
    )
    assert done.exit_code == 2
    assert says in done.output and done.output.splitlines()[-1].startswith("error: ")


def test_addresses_of_this_machine_alone():
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert ServeSettings(host).is_local
    assert ServeSettings("::1").url_of(80) == "http://[::1]:80"
    assert TOKEN not in repr(ServeSettings("0.0.0.0", token=TOKEN))


def test_nothing_is_reported_to_anybody(bundle_path):
    """FastAPI would report to OpenTelemetry where its variables say so."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        collector.setblocking(False)
        variables = {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.getsockname()[1]}",
        }
        with serving(bundle_path, environment=variables) as server:
            assert server.post("/v1/score", ("images", "a", b"x")).code == 200
            assert (
                "traceparent"
                not in server.get("/v1/info", {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}).headers
            )
            assert server.end() == 0
        with pytest.raises(BlockingIOError):
            collector.accept()
