/*
 * libznippy for C++17 and later: the C interface of znippy.h with owners, exceptions and ranges. Header only.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Failures are exceptions of the type znippy::error. Owners are move-only and free what they own; get() lends the C
 * handle, release() gives it away. What znippy.h says of threads, paths and ownership holds here too.
 *
 * A function that the library calls back (progress, log, a filter, a source, a sink, a stream, a provider) may throw: the
 * call that it belongs to stops, and the same exception comes out of it. No exception crosses the library.
 *
 *     znippy::compress_dir("project", "project.znippy");
 *     znippy::reader reader("project.znippy");
 *     for (const znippy::entry &entry : reader.entries())
 *         std::cout << entry.path() << '\n';
 *     std::string text = reader.read("README.md").str();
 *
 *     znippy::writer writer("notes.znippy");
 *     writer.add("hello.txt", "hello, world\n").add_tree("project", "src");
 *     writer.finish();
 *
 * Compiles with -fno-rtti. Exceptions are needed.
 */
#ifndef ZNIPPY_HPP
#define ZNIPPY_HPP

#include "znippy.h"

#include "znippy/error.hpp"

#include "znippy/call.hpp"
#include "znippy/memory.hpp"

#include "znippy/entry.hpp"
#include "znippy/options.hpp"
#include "znippy/provider.hpp"

#include "znippy/reader.hpp"

#include "znippy/difference.hpp"
#include "znippy/stream.hpp"
#include "znippy/writer.hpp"

namespace znippy {

/** Version of the library that runs: major * 1000000 + minor * 1000 + patch. */
inline std::uint32_t version_number() noexcept { return znippy_version_number(); }

/** The same as text. */
inline const char *version_string() noexcept { return znippy_version_string(); }

static_assert(sizeof(cancel) == sizeof(void *) && sizeof(listing) == sizeof(void *) &&
                  sizeof(differences) == sizeof(void *),
              "owners that call nobody back have no state beyond the C handle");

} // namespace znippy

#endif /* ZNIPPY_HPP */
