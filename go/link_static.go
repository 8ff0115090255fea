//go:build znippy_static

package znippy

// The static library is named first and resolves everything, so that the shared one of the same name, which pkg-config
// names too, is not needed.

// #cgo LDFLAGS: -Wl,--as-needed -l:libznippy.a
// #cgo pkg-config: --static znippy
// #include "callbacks.h"
import "C"
