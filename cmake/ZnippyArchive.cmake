# Directories as archives of a build, and archives inside programs. find_package(znippy) brings these functions along.
#
#   znippy_add_archive(<target> <directory> [OUTPUT <file>] [OPTIONS <option>...] [DEPENDS <dependency>...])
#       A target that packs the directory when the build needs it and something in the directory has changed. OPTIONS are those
#       of `znippy pack`. The archive is reproducible: it depends on names, executable bits and bytes of the files, and on nothing
#       else. It is OUTPUT, by default <target>.znippy in the binary directory, and the target's property ZNIPPY_ARCHIVE.
#       DEPENDS are targets and files that make what is in the directory.
#
#   znippy_embed(<target> <archive> [NAME <name>] [LIBRARY <library>])
#       Puts an archive into a program or library: a file, or a target of znippy_add_archive. The target can include <name>.h (by default
#       the archive's name), which declares
#
#           extern const unsigned char <name>_begin[], <name>_end[];
#           znippy_status <name>_open(const znippy_options *, znippy_reader **, znippy_error **);
#
#       Opening copies and unpacks nothing. The target is linked to LIBRARY, by default znippy::znippy. It needs gcc or clang and
#       an ELF system, and C or C++ as a language of the project.

include_guard(GLOBAL)

function(znippy_add_archive target directory)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "OUTPUT" "OPTIONS;DEPENDS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "znippy_add_archive: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(directory "${directory}" ABSOLUTE)
  if(NOT arg_OUTPUT)
    set(arg_OUTPUT "${target}.znippy")
  endif()
  get_filename_component(output "${arg_OUTPUT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
  if(TARGET znippy::tool)
    set(tool znippy::tool)
  else()
    find_program(ZNIPPY_TOOL znippy DOC "The tool of libznippy" REQUIRED)
    set(tool "${ZNIPPY_TOOL}")
  endif()
  # New and deleted files make cmake look again. What a target makes isn't there yet, so that target is named by DEPENDS.
  file(GLOB_RECURSE files CONFIGURE_DEPENDS LIST_DIRECTORIES true "${directory}/*")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${tool} pack --quiet --force --reproducible ${arg_OPTIONS} "${directory}" "${output}"
    DEPENDS ${files} ${arg_DEPENDS} ${tool}
    COMMENT "Packing ${output}"
    VERBATIM)
  add_custom_target(${target} ALL DEPENDS "${output}")
  set_target_properties(${target} PROPERTIES ZNIPPY_ARCHIVE "${output}")
endfunction()

function(znippy_embed target archive)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "NAME;LIBRARY" "")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "znippy_embed: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT UNIX OR APPLE)
    message(FATAL_ERROR "znippy_embed: only for ELF systems yet")
  endif()
  if(TARGET ${archive})
    get_target_property(file ${archive} ZNIPPY_ARCHIVE)
    if(NOT file)
      message(FATAL_ERROR "znippy_embed: ${archive} is not a target of znippy_add_archive")
    endif()
  else()
    get_filename_component(file "${archive}" ABSOLUTE)
  endif()
  if(NOT arg_NAME)
    get_filename_component(arg_NAME "${file}" NAME_WE)
  endif()
  string(MAKE_C_IDENTIFIER "${arg_NAME}" name)
  if(NOT arg_LIBRARY)
    set(arg_LIBRARY znippy::znippy)
  endif()
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("C" IN_LIST languages)
    set(extension c)
  else()
    set(extension cpp)
  endif()
  set(directory "${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded")
  string(REPLACE "\\" "\\\\" quoted "${file}")
  string(REPLACE "\"" "\\\"" quoted "${quoted}")
  # The assembler reads the archive itself, so that a big one costs neither time nor memory of the compiler.
  file(CONFIGURE OUTPUT "${directory}/${name}.${extension}" @ONLY CONTENT [[
__asm__(".section .rodata\n"
        ".balign 64\n"
        ".global @name@_begin\n.hidden @name@_begin\n.type @name@_begin, %object\n"
        "@name@_begin:\n"
        ".incbin \"@quoted@\"\n"
        ".global @name@_end\n.hidden @name@_end\n.type @name@_end, %object\n"
        "@name@_end:\n"
        ".byte 0\n"
        ".size @name@_begin, @name@_end - @name@_begin\n"
        ".text\n");
]])
  file(CONFIGURE OUTPUT "${directory}/${name}.h" @ONLY CONTENT [[
/* The archive @name@ inside this program: made by znippy_embed(). */
#ifndef ZNIPPY_EMBEDDED_@name@
#define ZNIPPY_EMBEDDED_@name@

#include <znippy.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char @name@_begin[], @name@_end[];

/* Opens it: nothing is copied or unpacked. The reader is the caller's, freed by znippy_reader_free(). */
static inline znippy_status @name@_open(const znippy_options *options, znippy_reader **reader_out, znippy_error **err) {
    return znippy_reader_open_memory(@name@_begin, (size_t)(@name@_end - @name@_begin), 0, 0, options, reader_out, err);
}

#ifdef __cplusplus
}
#endif

#endif
]])
  set_source_files_properties("${directory}/${name}.${extension}" PROPERTIES OBJECT_DEPENDS "${file}")
  # Optimising across files may drop or rename what only the assembler sees.
  set_property(SOURCE "${directory}/${name}.${extension}" APPEND PROPERTY COMPILE_OPTIONS -fno-lto)
  target_sources(${target} PRIVATE "${directory}/${name}.${extension}")
  # Who links a static library can open what it carries; of a shared one the symbols stay inside.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    set(scope PUBLIC)
  else()
    set(scope PRIVATE)
  endif()
  target_include_directories(${target} ${scope} "$<BUILD_INTERFACE:${directory}>")
  target_link_libraries(${target} ${scope} ${arg_LIBRARY})
  if(TARGET ${archive})
    add_dependencies(${target} ${archive})
  endif()
endfunction()
