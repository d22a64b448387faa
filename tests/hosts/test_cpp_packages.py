"""What package managers are told of the C++ library: one version, and the dependencies that CMake looks for."""

from __future__ import annotations

import ast
import json
import re

from cpp_host import SOURCE


def project_version() -> str:
    found = re.search(
        r"project\(realm VERSION ([\d.]+)", (SOURCE / "CMakeLists.txt").read_text(encoding="utf-8")
    )
    assert found is not None
    return found[1]


def test_the_port_is_of_this_version_and_needs_what_cmake_looks_for() -> None:
    port = json.loads((SOURCE / "ports/realm/vcpkg.json").read_text(encoding="utf-8"))
    assert port["version"] == project_version()
    needs = {each if isinstance(each, str) else each["name"] for each in port["dependencies"]}
    assert {"libjpeg-turbo", "libpng", "onnxruntime"} <= needs
    portfile = (SOURCE / "ports/realm/portfile.cmake").read_text(encoding="utf-8")
    options = set(re.findall(r"-D(REALM_\w+)=|colour-profiles (REALM_\w+)", portfile))
    declared = (SOURCE / "CMakeLists.txt").read_text(encoding="utf-8")
    for name in (one or other for one, other in options):
        assert f"option({name} " in declared, name


def test_the_recipe_exports_every_source_and_names_only_options_that_are_there() -> None:
    recipe = (SOURCE / "conanfile.py").read_text(encoding="utf-8")
    assert 'split("project(realm VERSION ", 1)' in recipe  # the version stands in CMakeLists.txt alone
    declared = (SOURCE / "CMakeLists.txt").read_text(encoding="utf-8")
    for name in re.findall(r'cache_variables\["(\w+)"\]', recipe):
        assert f"option({name} " in declared, name
    (exported,) = (
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(recipe))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "exports_sources"
    )
    folders = {entry.split("/")[0] for entry in exported}
    assert {"CMakeLists.txt", "cmake", "include", "src", "third_party"} <= folders
