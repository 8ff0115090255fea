//go:build !znippy_gcstress

package znippy

// stress stands at each crossing between Go and C. The build tag znippy_gcstress makes it collect garbage there, which finds memory that C
// still uses after Go has let go of it.
func stress() {}
