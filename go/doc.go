// Package znippy packs a directory into one archive on all cores and reads it back at any point. It is the Go side of
// libznippy, which it links through pkg-config; the build tag znippy_static links the static library.
//
//	stats, err := znippy.CompressDir(ctx, "project", "project.znippy", znippy.Level(9))
//
//	archive, err := znippy.Open("project.znippy")
//	defer archive.Close()
//	text, err := fs.ReadFile(archive, "README.md")
//
// # Files
//
// An [Archive] is an fs.FS, and an fs.ReadDirFS, ReadFileFS, StatFS and SubFS. Its files are io.ReaderAt, io.Seeker and
// io.WriterTo too. Every byte is checked against its hash before it is given out.
//
// Symbolic links are followed inside the archive, as os.DirFS does inside the file system: Open, Stat and ReadFile give
// what they lead to, and ReadDir lists the links themselves. A link that leads nowhere, out of the archive or in a circle is
// fs.ErrNotExist. [Archive.ReadLink] and [Archive.Lstat] look at a link itself, and [Archive.Links] is the same
// archive with no link followed: there a link is a file whose bytes are its target.
//
// A hard link is a file like the one that it is a name of. FIFOs, devices and sockets are files without bytes. Directories that
// an archive doesn't list but has entries below are there. Names that are not UTF-8 can't be named in an fs.FS:
// they are left out of it, [Archive.HiddenEntries] counts them, and [Archive.Entry] and its neighbours reach them.
//
// # Errors
//
// Failures are of the type *[Error], those of the fs interfaces inside an *fs.PathError. errors.Is knows fs.ErrNotExist, fs.ErrExist,
// fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed, context.Canceled and context.DeadlineExceeded, every [Status], the
// system's error number, and the error of a callback that made the call fail.
//
// # Contexts
//
// A context that ends stops packing, unpacking, checking and reading, within 100 ms as a rule, and leaves nothing
// behind. The call returns when the library has stopped, with no thread or goroutine left.
//
// # Callbacks
//
// Progress, log, filters, readers, writers and providers are called while the call that they were given to runs. A panic in
// one of them stops that call, which panics with the same value. Some run on other threads than the
// goroutine of the call; none may use the writer that it was called by.
//
// # Concurrency
//
// Any number of goroutines may use an [Archive] and its files at once, and Close it beside them: calls that run then finish, later
// ones fail with fs.ErrClosed. A [Writer] takes one call at a time. An archive or writer that is lost without Close is freed by the garbage
// collector some time.
package znippy
