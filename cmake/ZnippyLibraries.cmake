# libznippy.so and libznippy.a, made from the static library that cargo builds.
#
# Why not cargo's own .so and .a: rustc gives a cdylib neither a soname nor versioned symbols, and its static
# library has every symbol of the Rust runtime and of zstd as a global, so that two such libraries, or one
# beside the system's zstd, don't link into one program.
#
# Gives the targets znippy::znippy (the shared library where it is built) and znippy::znippy_static, and
# ZNIPPY_SHARED_FILE, ZNIPPY_SONAME, ZNIPPY_STATIC_FILE, ZNIPPY_PRIVATE_LIBS for installation.

find_program(CARGO_EXECUTABLE cargo HINTS "$ENV{HOME}/.cargo/bin" REQUIRED)

set(ZNIPPY_LIB_DIR "${PROJECT_BINARY_DIR}/lib")
set(ZNIPPY_LINK_DIR "${PROJECT_BINARY_DIR}/link")
file(MAKE_DIRECTORY "${ZNIPPY_LIB_DIR}" "${ZNIPPY_LINK_DIR}")

# Before 1.0 every minor version may break the ABI, so it is part of the soname.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(ZNIPPY_ABI_VERSION "0.${PROJECT_VERSION_MINOR}")
else()
  set(ZNIPPY_ABI_VERSION "${PROJECT_VERSION_MAJOR}")
endif()
set(ZNIPPY_SONAME "libznippy.so.${ZNIPPY_ABI_VERSION}")
set(ZNIPPY_SHARED_FILE "${ZNIPPY_LIB_DIR}/libznippy.so.${PROJECT_VERSION}")
set(ZNIPPY_SHARED_LINKS "${ZNIPPY_LIB_DIR}/${ZNIPPY_SONAME}" "${ZNIPPY_LIB_DIR}/libznippy.so")
set(ZNIPPY_STATIC_FILE "${ZNIPPY_LIB_DIR}/libznippy.a")

# What the Rust runtime needs of the system; one library a line. Every C compiler driver links libgcc and libc
# by itself, in the variant that fits: naming the shared libgcc_s would make `cc -static` fail.
file(STRINGS "${PROJECT_SOURCE_DIR}/abi/native-libs.txt" ZNIPPY_NATIVE_LIBS REGEX "^-l")
list(REMOVE_ITEM ZNIPPY_NATIVE_LIBS -lgcc_s -lc)
set(ZNIPPY_PRIVATE_LIBS ${ZNIPPY_NATIVE_LIBS})
set(ZNIPPY_PRIVATE_REQUIRES "")
if(ZNIPPY_SYSTEM_ZSTD)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(ZNIPPY_ZSTD REQUIRED libzstd>=1.5.0)
  set(ZNIPPY_PRIVATE_REQUIRES "libzstd >= 1.5.0")
  set(zstd_link ${ZNIPPY_ZSTD_LDFLAGS})
  list(PREPEND ZNIPPY_NATIVE_LIBS ${zstd_link})
  set(zstd_environment ZSTD_SYS_USE_PKG_CONFIG=1)
endif()

# The two lists that the linkers want, from the one in abi/symbols.txt.
file(STRINGS "${PROJECT_SOURCE_DIR}/abi/symbols.txt" ZNIPPY_SYMBOLS REGEX "^znippy_")
set(ZNIPPY_MAP "${ZNIPPY_LINK_DIR}/libznippy.map")
list(JOIN ZNIPPY_SYMBOLS ";\n    " symbols)
file(CONFIGURE OUTPUT "${ZNIPPY_MAP}" CONTENT
  "ZNIPPY_${ZNIPPY_ABI_VERSION} {\n  global:\n    @symbols@;\n  local:\n    *;\n};\n" @ONLY)

# The personality reference is weak and hidden, and shared by all Rust code in a program: made local, the
# copies that the linker discards would leave the first panic without a handler.
set(ZNIPPY_KEEP "${ZNIPPY_LINK_DIR}/keep-global.txt")
list(JOIN ZNIPPY_SYMBOLS "\n" symbols)
file(CONFIGURE OUTPUT "${ZNIPPY_KEEP}" CONTENT "@symbols@\nDW.ref.rust_eh_personality\n" @ONLY)

# Line tables of all dependencies are 90 % of the bytes; builds for debugging keep them.
if(NOT CMAKE_BUILD_TYPE MATCHES "^(Debug|RelWithDebInfo)$")
  set(ZNIPPY_STRIP --strip-debug)
  set(ZNIPPY_LINK_STRIP -Wl,--strip-debug)
endif()

set(ZNIPPY_CARGO_ENVIRONMENT "CARGO_TARGET_DIR=${ZNIPPY_CARGO_TARGET_DIR}" ${zstd_environment})
# Only what differs from Cargo.toml is said, since cargo builds everything anew where it is told something else.
if(NOT ZNIPPY_LTO STREQUAL "fat")
  list(APPEND ZNIPPY_CARGO_ENVIRONMENT "CARGO_PROFILE_RELEASE_LTO=${ZNIPPY_LTO}")
endif()
if(ZNIPPY_REMAP_PATHS)
  if(DEFINED ENV{CARGO_HOME})
    set(cargo_home "$ENV{CARGO_HOME}")
  else()
    set(cargo_home "$ENV{HOME}/.cargo")
  endif()
  list(APPEND ZNIPPY_CARGO_ENVIRONMENT
    "RUSTFLAGS=$ENV{RUSTFLAGS} --remap-path-prefix=${cargo_home}=cargo --remap-path-prefix=${PROJECT_SOURCE_DIR}=libznippy")
endif()

# Cargo decides what is out of date, so it is asked each time; it touches its output only where that changes. The
# static library alone, since there is no link-time optimisation where a Rust library is made along with it: the
# shared library is a quarter smaller that way.
set(ZNIPPY_CARGO_LIB "${ZNIPPY_CARGO_TARGET_DIR}/release/libznippy.a")
separate_arguments(cargo_flags UNIX_COMMAND "${ZNIPPY_CARGO_FLAGS}")
if(ZNIPPY_OPENZL)
  list(APPEND cargo_flags --features openzl)
endif()
add_custom_target(znippy_cargo
  COMMAND "${CMAKE_COMMAND}" -E env ${ZNIPPY_CARGO_ENVIRONMENT}
          "${CARGO_EXECUTABLE}" rustc --release --lib --locked --crate-type staticlib ${cargo_flags}
  BYPRODUCTS "${ZNIPPY_CARGO_LIB}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  COMMENT "Compiling the Rust code"
  USES_TERMINAL VERBATIM)

# Relocations in a tenth of the room, for loaders from glibc 2.36 on, which is the floor (abi/floor.txt).
include(CheckLinkerFlag)
check_linker_flag(C -Wl,-z,pack-relative-relocs ZNIPPY_LINKER_HAS_RELR)
if(ZNIPPY_LINKER_HAS_RELR)
  set(ZNIPPY_LINK_RELR -Wl,-z,pack-relative-relocs)
endif()

set(znippy_built "")

if(ZNIPPY_BUILD_SHARED)
  add_custom_command(
    OUTPUT "${ZNIPPY_SHARED_FILE}"
    BYPRODUCTS ${ZNIPPY_SHARED_LINKS}
    COMMAND "${CMAKE_C_COMPILER}" -shared -o "${ZNIPPY_SHARED_FILE}"
            -Wl,--gc-sections -Wl,--whole-archive "${ZNIPPY_CARGO_LIB}" -Wl,--no-whole-archive
            "-Wl,--version-script=${ZNIPPY_MAP}" "-Wl,-soname,${ZNIPPY_SONAME}"
            -Wl,-z,nodelete -Wl,-z,defs -Wl,-z,relro -Wl,-z,now ${ZNIPPY_LINK_RELR} -Wl,--as-needed ${ZNIPPY_NATIVE_LIBS}
            -lgcc_s
            ${ZNIPPY_LINK_STRIP}
    COMMAND "${CMAKE_COMMAND}" -E create_symlink "libznippy.so.${PROJECT_VERSION}" "${ZNIPPY_LIB_DIR}/${ZNIPPY_SONAME}"
    COMMAND "${CMAKE_COMMAND}" -E create_symlink "${ZNIPPY_SONAME}" "${ZNIPPY_LIB_DIR}/libznippy.so"
    DEPENDS znippy_cargo "${ZNIPPY_CARGO_LIB}" "${ZNIPPY_MAP}"
    COMMENT "Linking libznippy.so" VERBATIM)
  list(APPEND znippy_built "${ZNIPPY_SHARED_FILE}")
endif()

if(ZNIPPY_BUILD_STATIC)
  # An archive is made anew each time: ar would keep members of an old one. No plugin: GNU ar with an old LLVM
  # plugin breaks off on the bitcode of a newer rustc. That bitcode goes: no C linker can use it, and it is most
  # of the file.
  set(ZNIPPY_OBJECT "${ZNIPPY_LINK_DIR}/znippy.o")
  add_custom_command(
    OUTPUT "${ZNIPPY_STATIC_FILE}"
    COMMAND "${CMAKE_LINKER}" -r -o "${ZNIPPY_OBJECT}" --whole-archive "${ZNIPPY_CARGO_LIB}"
    COMMAND "${CMAKE_OBJCOPY}" ${ZNIPPY_STRIP} --remove-section=.llvmbc --remove-section=.llvmcmd
            "--keep-global-symbols=${ZNIPPY_KEEP}" "${ZNIPPY_OBJECT}"
    COMMAND "${CMAKE_COMMAND}" -E rm -f "${ZNIPPY_STATIC_FILE}"
    COMMAND "${CMAKE_AR}" --plugin none rcsD "${ZNIPPY_STATIC_FILE}" "${ZNIPPY_OBJECT}"
    COMMAND "${CMAKE_COMMAND}" -E rm -f "${ZNIPPY_OBJECT}"
    DEPENDS znippy_cargo "${ZNIPPY_CARGO_LIB}" "${ZNIPPY_KEEP}"
    COMMENT "Making libznippy.a" VERBATIM)
  list(APPEND znippy_built "${ZNIPPY_STATIC_FILE}")
endif()

add_custom_target(znippy_libraries ALL DEPENDS ${znippy_built})

if(ZNIPPY_BUILD_SHARED)
  add_library(znippy_shared SHARED IMPORTED GLOBAL)
  set_target_properties(znippy_shared PROPERTIES
    IMPORTED_LOCATION "${ZNIPPY_SHARED_FILE}"
    IMPORTED_SONAME "${ZNIPPY_SONAME}"
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include")
  add_dependencies(znippy_shared znippy_libraries)
  add_library(znippy::znippy ALIAS znippy_shared)
endif()

if(ZNIPPY_BUILD_STATIC)
  add_library(znippy_static STATIC IMPORTED GLOBAL)
  set_target_properties(znippy_static PROPERTIES
    IMPORTED_LOCATION "${ZNIPPY_STATIC_FILE}"
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
    INTERFACE_LINK_LIBRARIES "${ZNIPPY_NATIVE_LIBS}")
  add_dependencies(znippy_static znippy_libraries)
  add_library(znippy::znippy_static ALIAS znippy_static)
  if(NOT ZNIPPY_BUILD_SHARED)
    add_library(znippy::znippy ALIAS znippy_static)
  endif()
endif()
