# What `cmake --install` puts where. Three components, as distributions split them:
#
#   runtime      libznippy.so.0.1.0 and the name that programs ask the loader for
#   development  headers, libznippy.so, libznippy.a, znippy.pc, the CMake package
#   tools        znippy, the program its convert runs in, its man page and its completion for bash

include(CMakePackageConfigHelpers)

set(znippy_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/znippy")
set(znippy_completion_dir "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")

# Notes which directories installation makes, so that uninstallation can take them away again. Comes first.
set(ZNIPPY_INSTALL_DIRS
  "${CMAKE_INSTALL_INCLUDEDIR}/znippy" "${znippy_cmake_dir}" "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
  "${CMAKE_INSTALL_BINDIR}" "${CMAKE_INSTALL_LIBEXECDIR}/znippy" "${CMAKE_INSTALL_MANDIR}/man1" "${znippy_completion_dir}")
configure_file(cmake/note-directories.cmake.in note-directories.cmake @ONLY)
install(SCRIPT "${PROJECT_BINARY_DIR}/note-directories.cmake" ALL_COMPONENTS)

install(FILES include/znippy.h include/znippy.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
# arrow_abi.h, and the parts of znippy.hpp.
file(GLOB ZNIPPY_HEADER_PARTS CONFIGURE_DEPENDS include/znippy/*.h include/znippy/*.hpp)
install(FILES ${ZNIPPY_HEADER_PARTS} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/znippy" COMPONENT development)

if(ZNIPPY_BUILD_SHARED)
  install(FILES "${ZNIPPY_SHARED_FILE}" "${ZNIPPY_LIB_DIR}/${ZNIPPY_SONAME}"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
  install(FILES "${ZNIPPY_LIB_DIR}/libznippy.so" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
endif()
if(ZNIPPY_BUILD_STATIC)
  install(FILES "${ZNIPPY_STATIC_FILE}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
endif()

# znippy.pc finds itself, so that an installed tree can be moved; in /usr it says so plainly, as distributions want it.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(ZNIPPY_PC_PREFIX "/usr")
else()
  file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(ZNIPPY_PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(which IN ITEMS LIB INCLUDE)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${which}DIR}")
    set(ZNIPPY_PC_${which}DIR "${CMAKE_INSTALL_${which}DIR}")
  else()
    set(ZNIPPY_PC_${which}DIR "\${prefix}/${CMAKE_INSTALL_${which}DIR}")
  endif()
endforeach()
list(JOIN ZNIPPY_PRIVATE_LIBS " " ZNIPPY_PC_LIBS)
# Without a shared library, what is private otherwise is needed by everybody.
if(ZNIPPY_BUILD_SHARED)
  set(ZNIPPY_PC_NEEDS "Requires.private: ${ZNIPPY_PRIVATE_REQUIRES}\nLibs: -L\${libdir} -lznippy\nLibs.private: ${ZNIPPY_PC_LIBS}")
else()
  set(ZNIPPY_PC_NEEDS "Requires: ${ZNIPPY_PRIVATE_REQUIRES}\nLibs: -L\${libdir} -lznippy ${ZNIPPY_PC_LIBS}")
endif()
configure_file(cmake/znippy.pc.in znippy.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/znippy.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)

# The same for what is built against this build directory: PKG_CONFIG_PATH=build/uninstalled.
set(ZNIPPY_PC_PREFIX "${PROJECT_BINARY_DIR}")
set(ZNIPPY_PC_LIBDIR "${ZNIPPY_LIB_DIR}")
set(ZNIPPY_PC_INCLUDEDIR "${PROJECT_SOURCE_DIR}/include")
configure_file(cmake/znippy.pc.in uninstalled/znippy.pc @ONLY)

set(ZNIPPY_CONFIG_LIBS ${ZNIPPY_PRIVATE_LIBS})
if(ZNIPPY_SYSTEM_ZSTD)
  list(PREPEND ZNIPPY_CONFIG_LIBS -lzstd)
endif()
configure_package_config_file(cmake/znippy-config.cmake.in znippy-config.cmake
  INSTALL_DESTINATION "${znippy_cmake_dir}"
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change the interface.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/znippy-config-version.cmake" COMPATIBILITY ${compatibility})
install(FILES "${PROJECT_BINARY_DIR}/znippy-config.cmake" "${PROJECT_BINARY_DIR}/znippy-config-version.cmake"
  cmake/ZnippyArchive.cmake
  DESTINATION "${znippy_cmake_dir}" COMPONENT development)

if(ZNIPPY_BUILD_TOOL)
  # A program finds the library beside itself, wherever the tree is moved; distributions switch that off. Where the build has the same
  # places, it is linked with that path at once: paths that CMake rewrites end in an empty one, which is the current directory.
  function(znippy_install_program target full_dir dir built_dir)
    file(RELATIVE_PATH to_library "${full_dir}" "${CMAKE_INSTALL_FULL_LIBDIR}")
    file(RELATIVE_PATH to_built "${PROJECT_BINARY_DIR}/${built_dir}" "${ZNIPPY_LIB_DIR}")
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/${to_library}")
    if(to_library STREQUAL to_built AND NOT CMAKE_SKIP_INSTALL_RPATH)
      set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON)
    endif()
    install(TARGETS ${target} RUNTIME DESTINATION "${dir}" COMPONENT tools)
  endfunction()
  znippy_install_program(znippy_tool "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_BINDIR}" bin)
  if(TARGET znippy_converter)
    znippy_install_program(znippy_converter
      "${CMAKE_INSTALL_FULL_LIBEXECDIR}/znippy" "${CMAKE_INSTALL_LIBEXECDIR}/znippy" libexec/znippy)
  endif()
  install(FILES packaging/znippy.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
  install(FILES packaging/bash-completion.sh DESTINATION "${znippy_completion_dir}" RENAME znippy COMPONENT tools)
endif()

if(PROJECT_IS_TOP_LEVEL)
  configure_file(cmake/uninstall.cmake.in uninstall.cmake @ONLY)
  add_custom_target(uninstall COMMAND "${CMAKE_COMMAND}" -P "${PROJECT_BINARY_DIR}/uninstall.cmake")
endif()
