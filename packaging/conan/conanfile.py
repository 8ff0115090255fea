"""Conan recipe, version 2. In the source directory: conan create packaging/conan"""

import os

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class LibznippyConan(ConanFile):
    name = "libznippy"
    version = "0.1.0"
    license = "MIT OR Apache-2.0"
    description = "Packs a directory into one archive on all cores and reads it back at any point"
    topics = ("archive", "compression", "zstd", "blake3", "arrow")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("CMakeLists.txt", "Cargo.*", "cbindgen.toml", "LICENSE-*", "abi/*", "cmake/*", "include/*",
                        "src/*", "c_examples/*", "benches/*", "packaging/znippy.1", "packaging/bash-completion.sh"):
            copy(self, pattern, root, self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux":
            from conan.errors import ConanInvalidConfiguration
            raise ConanInvalidConfiguration("libznippy is for Linux")

    def configure(self):
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ZNIPPY_BUILD_SHARED"] = bool(self.options.shared)
        toolchain.cache_variables["ZNIPPY_BUILD_STATIC"] = not self.options.shared
        for part in ("TESTS", "EXAMPLES", "TOOL"):
            toolchain.cache_variables[f"ZNIPPY_BUILD_{part}"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE-*", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        self.cpp_info.libs = ["znippy"]
        self.cpp_info.set_property("cmake_file_name", "znippy")
        self.cpp_info.set_property("cmake_target_name", "znippy::znippy")
        self.cpp_info.set_property("pkg_config_name", "znippy")
        if not self.options.shared:
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
