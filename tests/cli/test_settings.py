"""Settings: variables and a file that is the user's own, what counts before what, and where each comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realm_engine.cli.main import main
from realm_engine.verbs import settings


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path) -> Path:
    """The user's own file of settings, not there yet."""
    path = tmp_path / "config" / settings.FILE_NAME
    path.parent.mkdir()
    monkeypatch.setattr(settings, "config_path", lambda: path)
    monkeypatch.setattr("realm_engine.cli.configuration.config_path", lambda: path)
    monkeypatch.delenv(settings.CONFIG_VARIABLE)
    return path


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def used(result: Result) -> str:
    """The line that says what computes."""
    assert result.exit_code == 0, result.stderr
    return next(line for line in result.stderr.splitlines() if "threads (" in line)


def test_the_command_line_counts_before_variables_and_these_before_the_file(
    own, pictures, bundle_path, monkeypatch
):
    own.write_text(f"bundle = '{bundle_path}'\nprecision = 'fp16'\nthreads = 3\n[map]\nthreads = 4\n")
    picture = pictures / "a.png"
    assert ", fp16, 3 threads" in used(run("score", picture))
    monkeypatch.setenv("REALM_THREADS", "2")
    assert ", fp16, 2 threads" in used(run("score", picture))
    assert ", fp16, 1 threads" in used(run("score", picture, "--threads", 1))
    monkeypatch.delenv("REALM_THREADS")
    assert ", fp16, 4 threads" in used(run("map", picture, "-o", own.parent / "maps", "--format", "json"))


def test_lists_and_switches(own, pictures, monkeypatch):
    own.write_text('[score]\nmetric = ["niqe", "brisque"]\nquiet = true\n[report]\nmetric = "niqe"\n')
    done = run("score", pictures / "a.png")
    assert done.stdout.startswith("filename,niqe,brisque,") and not done.stderr
    loud = run("score", pictures / "a.png", "-v")  # what is typed counts
    assert f"setting: quiet = yes ({own})" in loud.stderr.splitlines()
    monkeypatch.setenv("REALM_METRIC", "brisque")
    assert run("score", pictures / "a.png").stdout.startswith("filename,brisque,")


def test_another_file(own, pictures, tmp_path, monkeypatch):
    own.write_text("threads = 3\n")
    other = tmp_path / "other.toml"
    other.write_text("threads = 2\nmetric = 'real-fake'\n")
    assert ", 2 threads" in used(run("--config", other, "score", pictures / "a.png"))
    monkeypatch.setenv("REALM_CONFIG", str(other))
    assert ", 2 threads" in used(run("score", pictures / "a.png"))


def test_a_file_in_the_working_directory_is_nobodys(own, pictures, monkeypatch):
    (pictures / settings.FILE_NAME).write_text("bundle = './evil'\n")
    monkeypatch.chdir(pictures)
    assert "realm-tiny" in used(run("score", "a.png"))


def test_info_says_where_everything_comes_from(own, monkeypatch, bundle_path):
    own.write_text("device = 'cpu'\n[map]\npreset = 'fast'\n")
    monkeypatch.setenv("REALM_PRECISION", "fp32")
    monkeypatch.setenv("REALM_DEVCE", "cuda")
    facts = json.loads(run("info", "--json").stdout)["settings"]
    assert facts["file"] == str(own)
    assert facts["device"] == f"cpu ({own})" and facts["map.preset"] == f"fast ({own})"
    assert facts["precision"] == "fp32 (REALM_PRECISION)"
    assert facts["REALM_DEVCE"].startswith("no setting of ours; did you mean REALM_DEVICE")
    assert str(own) in run("info").stdout
    monkeypatch.setenv("REALM_BUNDLE", str(bundle_path))
    assert json.loads(run("info", "--json").stdout)["bundle"]["name"] == "test-bundle"
    assert run("measures").stdout == run("measures", bundle_path).stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("devcie = 'cpu'", "no such setting devcie; did you mean device?"),
        ("output = 'x.csv'", "no such setting output; settings are bundle, device"),
        ("[scores]\nthreads = 1", "no settings of [scores]; did you mean score?"),
        ("[verify]\ndevice = 'cpu'", "no settings of [verify]; tables are score, map"),
        ("threads = ", "is no TOML (Invalid value (at"),
        ("device = 1979-05-27", "device is datetime.date(1979, 5, 27); write one value"),
        ("threads = 'two'", "threads: 'two' is no whole number"),
        ("device = 'gpu'", "device: 'gpu' is not one of 'auto', 'cuda', 'cpu', "),
        ("[map]\nmetric = 'niqe'", None),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_that_names_it(own, content, message, pictures):
    own.write_text(content)
    done = run("score", pictures / "a.png")
    if message is None:  # map --metric asks for another kind of map, so it is no setting of map's
        assert done.exit_code == 0
        return
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {own}: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_variable_with_a_wrong_value_is_named(monkeypatch, pictures, tmp_path):
    monkeypatch.setenv("REALM_DEVICE", "gpu")
    done = run("score", pictures / "a.png")
    assert done.stderr.startswith("error: REALM_DEVICE (--device): 'gpu' is not one of ")
    assert done.stderr.endswith("; did you mean cuda?\n")
    monkeypatch.delenv("REALM_DEVICE")
    monkeypatch.setenv("REALM_CONFIG", str(tmp_path / "nowhere.toml"))
    done = run("score", pictures / "a.png")
    assert done.exit_code == 2 and "nowhere.toml: the settings cannot be read (No such file" in done.stderr
