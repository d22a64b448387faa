"""The library for Conan 2: `conan create hosts/cpp --build=missing`."""

from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load


class Realm(ConanFile):
    name = "realm"
    description = "How real pictures look, and where they do not: REALM bundles in C++"
    license = "Apache-2.0"
    topics = ("image-quality", "onnx", "computer-vision")
    settings = "os", "arch", "compiler", "build_type"
    package_type = "library"
    options = {"shared": [True, False], "fPIC": [True, False], "colour_profiles": [True, False]}
    default_options = {"shared": False, "fPIC": True, "colour_profiles": True}
    implements = ["auto_shared_fpic"]
    exports_sources = "CMakeLists.txt", "cmake/*", "include/*", "src/*", "third_party/*"

    def set_version(self) -> None:
        text = load(self, Path(self.recipe_folder) / "CMakeLists.txt")
        self.version = text.split("project(realm VERSION ", 1)[1].split(" ", 1)[0]

    def export_sources(self) -> None:
        copy(self, "LICENSE", Path(self.recipe_folder).parents[1], self.export_sources_folder)

    def layout(self) -> None:
        cmake_layout(self)

    def requirements(self) -> None:
        self.requires("libjpeg-turbo/[>=2.1 <4]")
        self.requires("libpng/[>=1.6 <2]")
        self.requires("onnxruntime/[>=1.23 <2]")
        if self.options.colour_profiles:
            self.requires("lcms/[>=2.14 <3]")

    def validate(self) -> None:
        check_min_cppstd(self, 17)

    def generate(self) -> None:
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["REALM_BUILD_PROGRAMS"] = False
        toolchain.cache_variables["REALM_BUILD_TESTS"] = False
        toolchain.cache_variables["REALM_WARNINGS_AS_ERRORS"] = False
        toolchain.cache_variables["REALM_COLOUR_PROFILES"] = bool(self.options.colour_profiles)
        toolchain.generate()
        dependencies = CMakeDeps(self)
        dependencies.set_property("lcms", "cmake_target_name", "lcms2::lcms2")
        dependencies.generate()

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        licences, source = Path(self.package_folder) / "licenses", Path(self.source_folder)
        copy(self, "LICENSE", source, licences)
        copy(self, "LICENSE", source / "third_party/nlohmann", licences / "nlohmann")
        CMake(self).install()

    def package_info(self) -> None:
        # Its own realmConfig.cmake is what find_package(realm) reads, as of every other install.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/realm"]
        self.cpp_info.libs = ["realm"]
