// Package bridge lets the packages of this module reach what package znippy doesn't show.
package bridge

import "unsafe"

// Set by package znippy. archive is a *znippy.Archive; out is memory for the struct of the Arrow C data interface.
var (
	ExportSchema func(archive any, out unsafe.Pointer) error
	ExportIndex  func(archive any, out unsafe.Pointer) error
)
