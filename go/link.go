//go:build !znippy_static

package znippy

// #cgo pkg-config: znippy
// #include "callbacks.h"
import "C"
