"""`realm-engine serve`: a real server, asked over real sockets, gives the answers of `score` and `map`."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor

import fastjsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from server import serving

from realm_engine.cli.main import main


@pytest.fixture(scope="module")
def server(bundle_path):
    with serving(bundle_path, "--access-log", "--max-images", 8, "--max-upload", "2M") as running:
        yield running


@pytest.fixture
def picture(photo):
    def make(height: int = 72, width: int = 96, seed: int = 0, kind: str = "PNG") -> bytes:
        stream = io.BytesIO()
        Image.fromarray(photo(height, width, seed)).save(stream, kind)
        return stream.getvalue()

    return make


def files_of(pictures):
    return [("images", name, content) for name, content in pictures.items()]


def command(verb, folder, bundle_path, *more):
    arguments = [verb, str(folder), "--bundle", str(bundle_path), "--device", "cpu", "--threads", "1", *more]
    return CliRunner().invoke(main, list(map(str, arguments)))


def checked(server, answer, path):
    """The JSON of an answer, which must be what /openapi.json says of it."""
    document = server.get("/openapi.json").json
    said = document["paths"][path]["post" if path in ("/v1/score", "/v1/map") else "get"]["responses"]
    schema = said[str(answer.code)]["content"]["application/json"]["schema"]
    fastjsonschema.compile({"components": document["components"], **schema})(answer.json)
    return answer.json


def test_scores_are_those_of_the_command_line_row_by_row(server, bundle_path, picture, tmp_path):
    pictures = {f"{seed}.png": picture(60 + 8 * (seed % 3), 80, seed) for seed in range(7)}
    pictures["cut.png"] = pictures["0.png"][:300]
    texts = ["a seam", "", "the face is melted", "", "yes", "no", "somewhat unreal", ""]
    for name, content in pictures.items():
        (tmp_path / name).write_bytes(content)
    rows = "".join(f"{name},{text}\n" for name, text in zip(pictures, texts, strict=True) if text)
    (tmp_path / "image_descriptions.csv").write_text("filename,description\n" + rows)
    done = command("score", tmp_path, bundle_path, "--output", tmp_path / "out.jsonl")
    assert done.exit_code == 1, done.output
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    table = {line.pop("filename"): line for line in lines}

    by_order = server.post("/v1/score", *files_of(pictures), *(("texts", text) for text in texts))
    by_name = server.post(
        "/v1/score",
        ("descriptions", json.dumps({n: t for n, t in zip(pictures, texts, strict=True) if t})),
        *files_of(pictures),
    )
    assert by_order.code == by_name.code == 200
    answer = checked(server, by_order, "/v1/score")
    assert answer["results"] == by_name.json["results"]
    assert (answer["failed"], answer["measures"]) == (1, ["core"])
    assert [each["name"] for each in answer["results"]] == list(pictures)
    assert [each["index"] for each in answer["results"]] == list(range(8))
    for each in answer["results"]:
        row = table[each["name"]]
        error, description = row.pop("error"), row.pop("description")
        assert each["values"] == row and (each["description"] or "") == description
        assert bool(each["error"]) == bool(error)
    assert answer["results"][-1]["error"].startswith("cut.png: broken or truncated image")


def test_many_clients_at_once_get_each_their_own_answers(server, picture):
    pictures = {f"{seed}.png": picture(48 + 4 * (seed % 4), 56, seed) for seed in range(24)}
    alone = {
        name: server.post("/v1/score", ("images", name, content), ("text", name)).json["results"][0]["values"]
        for name, content in pictures.items()
    }

    def ask(start):
        names = [f"{(start + step) % 24}.png" for step in range(1 + start % 5)]
        answer = server.post(
            "/v1/score",
            *(("images", name, pictures[name]) for name in names),
            *(("texts", name) for name in names),
        )
        assert [each["name"] for each in answer.json["results"]] == names
        return all(each["values"] == alone[each["name"]] for each in answer.json["results"])

    with ThreadPoolExecutor(12) as clients:
        assert all(clients.map(ask, range(60)))
    assert server.counted("realm_batch_images_sum") > server.counted("realm_batch_images_count")


def test_maps_are_those_of_the_command_line(server, bundle_path, picture, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "b.png").write_bytes(picture(90, 80, 1))
    done = command(
        "map", tmp_path, bundle_path, "--text", "a seam", "--window", 24, "--stride", 8, "--regions", 3, "--no-score",
        "--format", "overlay,panel,heatmap,npy,json", "--output", tmp_path / "maps",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    wishes = [("text", "a seam"), ("window", "24"), ("stride", "8"), ("regions", "3")]
    sent = [("images", name, (tmp_path / name).read_bytes()) for name in ("b.png", "a.png")]
    answer = checked(server, server.post("/v1/map", *sent, *wishes), "/v1/map")
    assert [each["name"] for each in answer["results"]] == ["b.png", "a.png"]
    for each in answer["results"]:
        record = json.loads((tmp_path / "maps" / each["name"]).with_suffix(".json").read_text())
        assert each["map"] == {name: record[name] for name in each["map"]}

    values = server.post("/v1/map", sent[1], *wishes, headers={"Accept": "application/x-npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(values.body)), np.load(tmp_path / "maps/a.npy"))
    for kind in ("overlay", "panel", "heatmap"):
        wanted = [] if kind == "overlay" else [("picture", kind)]
        drawn = server.post(
            "/v1/map", sent[1], *wishes, *wanted, headers={"Accept": "text/html;q=.1, image/*"}
        )
        assert (drawn.code, drawn.headers["content-type"]) == (200, "image/png")
        assert drawn.body == (tmp_path / f"maps/a.{kind}.png").read_bytes()

    phrases = server.post("/v1/map", sent[0], ("window", "24"), ("stride", "8")).json["results"][0]["map"]
    assert phrases["phrases"] and phrases["texts"]


def test_a_map_that_is_one_error_is_refused_where_no_json_was_wanted(server):
    broken = ("images", "x.png", b"no picture")
    answer = server.post("/v1/map", broken, headers={"Accept": "image/png"})
    assert (answer.code, answer.error.split(";")[0]) == (
        422, "x.png: not an image that can be read (formats: PNG, JPEG, WebP, BMP, TIFF)",
    )  # fmt: skip
    assert server.post("/v1/map", broken).json["failed"] == 1


REFUSED = [
    ("/v1/score", [], {}, 422, "images: field required; /docs says what each field takes"),
    ("/v1/score", [("images", "no file")], {}, 422, "images.0: "),
    ("/v1/score", [("metrics", "nothing")], {}, 422, "test-bundle: there is no measure 'nothing'"),
    ("/v1/score", [("metric", "core")], {}, 422, "no field is called 'metric'; there are images, metrics"),
    ("/v1/score", [("texts", "a"), ("texts", "b")], {}, 422, "1 images but 2 texts; give one per image"),
    ("/v1/score", [("text", "a"), ("texts", "b")], {}, 422, "text contradicts texts; give one of them"),
    ("/v1/score", [("text", "a"), ("text", "b")], {}, 422, "a score takes one text"),
    ("/v1/score", [("descriptions", "[" * 9000)], {}, 422, "descriptions: no JSON; write an object"),
    ("/v1/score", [("descriptions", "[]")], {}, 422, "descriptions: no object from file names to texts"),
    ("/v1/score", [("descriptions", '{"b.png": "x"}')], {}, 422, "descriptions: no image is called 'b.png'"),
    ("/v1/score", [("combine", "core")], {}, 422, "combine core: write NAME=WEIGHT"),
    ("/v1/score", [("profile", "other")], {}, 422, "profile: input should be 'default' or 'published'"),
    ("/v1/score?metrics=core", [], {}, 422, "'metrics' stands in the address; send it as a field"),
    ("/v1/map", [("preset", "other")], {}, 422, "preset other: this bundle has released, paper, tiny, fast"),
    ("/v1/map", [("stride", "0")], {}, 422, "stride: input should be greater than or equal to 1"),
    ("/v1/map", [("window", "-3")], {}, 422, "window sizes and stride must be whole numbers from 1, not -3"),
    ("/v1/map", [("window", "x")], {}, 422, "window.0: input should be a valid integer"),
    ("/v1/map", [("range_low", "0")], {}, 422, "range_low and range_high belong together"),
    ("/v1/map", [("range_low", "1"), ("range_high", "0")], {}, 422, "range 1 0: give the lower value first"),
    ("/v1/map", [("range_low", "nan"), ("range_high", "0")], {}, 422, "range nan 0: give the lower value first"),
    ("/v1/map", [("metric", "core")], {}, 422, "test-bundle: no map says where the number of core comes from"),
    ("/v1/map", [("metric", "x"), ("text", "x")], {}, 422, "metric takes no text; leave them out"),
    ("/v1/map", [], {"Accept": "text/html"}, 406, "maps are application/json, image/png or application/x-npy"),
    ("/v1/map", [("images", "b.png", b"")], {"Accept": "image/png"}, 406, "image/png holds one map"),
    ("/v1/score", [("images", "b.png", b"")] * 8, {}, 413, "Too many files. Maximum number of files is 8; send"),
    ("/v1/score", [("texts", "")] * 200, {}, 413, "Too many fields. Maximum number of fields is 80; send fewer"),
    ("/v1/score", [("text", "x" * 300_000)], {}, 413, "Part exceeded maximum size of 256KB; send shorter texts"),
    ("/v1/score", [("images", "b.png", bytes(3 << 20))], {}, 413, "a request has at most 2M; send fewer images"),
    ("/v1/score", [], {"Content-Type": "application/json"}, 415, "send a form, multipart/form-data, with one"),
    ("/v1/score", [], {"Content-Type": "multipart/form-data"}, 400, "Missing boundary in multipart."),
    ("/v1/score", [], {"Origin": "http://example.org"}, 403, "pages of other hosts may not ask this server"),
    ("/v1/scores", [], {}, 404, "there is nothing at this address; /docs says what there is"),
    ("/v1/measures", [], {}, 405, "POST cannot be asked here; /docs says what can"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "headers", "code", "says"), REFUSED, ids=lambda v: str(v)[:24])
def test_what_is_refused_says_why_in_one_line(server, picture, path, fields, headers, code, says):
    image = [] if says.startswith("images: field") else [("images", "a.png", picture())]
    if fields == [("images", "no file")]:
        image = []
    answer = server.post(path, *image, *fields, headers=headers)
    assert (answer.code, answer.error[: len(says)]) == (code, says)
    assert "\n" not in answer.error
    assert code != 422 or not re.search(r"--[a-z]", answer.error)  # a field, and no option
    if path in ("/v1/score", "/v1/map"):
        checked(server, answer, path)


def test_a_body_in_chunks_is_cut_off_where_it_becomes_too_long(server, picture):
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    try:
        answer = server.ask("POST", "/v1/score", endless(), kind)
        assert answer.code in (400, 413)
    except (BrokenPipeError, ConnectionResetError):
        pass  # whoever never stops sending never reads why
    assert sent < 64 << 20
    assert server.counted("realm_upload_bytes") == 0


def test_fields_that_are_left_empty_are_as_good_as_none(server, picture):
    """What Swagger UI sends of a form that nobody filled in."""
    image = ("images", "a.png", picture())
    names = ("metrics", "text", "texts", "descriptions", "combine")
    score = server.post("/v1/score", image, *((name, "") for name in names))
    assert (score.code, score.json) == (200, server.post("/v1/score", image).json)
    names = ("text", "texts", "descriptions", "preset", "window", "stride", "aggregate", "quantity", "metric")
    names += ("regions", "range_low", "range_high")
    found = server.post("/v1/map", image, *((name, "") for name in names))
    assert (found.code, found.json) == (200, server.post("/v1/map", image).json)


def test_names_come_back_in_ascii_and_reach_no_terminal(server, picture):
    name = "b\u202eild\x1b[31m\u00e9.png"
    answer = server.post("/v1/score", ("images", name, b"no picture"))
    assert answer.body.isascii() and b"\x1b" not in answer.body
    result = answer.json["results"][0]
    assert result["name"] == name
    assert result["error"].startswith(r"b\u202eild\x1b[31m")
    server.get("/%1b%5b31mx")
    server.wait_for(r"GET /\x1b[31mx: 404")
    assert not any("\x1b" in line for line in server.lines)


def test_the_page_asks_no_other_host(server):
    page = server.get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert sorted(assets) == ["data:,", "docs/page.js", "docs/swagger.css", "docs/swagger.js"]
    for asset in assets[1:]:
        assert server.get(f"/{asset}").code == 200
    assert b"validatorUrl: null" in server.get("/docs/page.js").body
    assert b"http" not in page.body + server.get("/docs/page.js").body
    assert server.get("/").headers["location"] == "docs"


def test_the_interface_is_described_whole(server):
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/score", "/v1/map", "/v1/measures", "/v1/info", "/healthz", "/readyz", "/metrics"):
        for operation in document["paths"][path].values():
            assert operation["summary"] and operation["description"] and operation["responses"]["200"]
    body = document["paths"]["/v1/map"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    fields = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
    assert all(field.get("description") for field in fields.values())
    optional = [field for name, field in fields.items() if name != "images"]
    # Swagger UI would make a value up, and send it.
    assert all("default" in field or field["examples"] == [""] for field in optional)
    assert fields["images"]["items"] == {"type": "string", "format": "binary"}
    assert set(document["paths"]["/v1/map"]["post"]["responses"]["200"]["content"]) == {
        "application/json", "image/png", "application/x-npy",
    }  # fmt: skip
    for path in ("/v1/measures", "/v1/info", "/healthz", "/readyz"):
        checked(server, server.get(path), path)


def test_what_is_counted(server, picture):
    before = server.counted('realm_images_total{outcome="failed",route="/v1/score"}')
    server.post("/v1/score", ("images", "a", picture()), ("images", "b", b"x"))
    assert server.counted('realm_images_total{outcome="failed",route="/v1/score"}') == before + 1
    assert server.counted('realm_requests_total{code="200",method="POST",route="/v1/score"}') >= 1
    server.ask("BREW", "/teapot")
    assert server.counted('realm_requests_total{code="404",method="other",route="other"}') >= 1
    for stage in ("queue", "decode", "compute"):
        assert server.counted(f"realm_{stage}_seconds_count") >= 1
    assert server.counted("realm_ready") == 1 and server.counted("realm_queue_images") == 0
    assert server.counted("process_open_fds") > 0


def test_no_page_of_another_host_is_answered_unless_it_was_named(server):
    assert "access-control-allow-origin" not in server.get("/v1/info").headers
    own = {"Origin": server.url}
    assert server.get("/v1/info", own).code == 200
    assert server.get("/v1/info", {"Origin": "null"}).code == 403
