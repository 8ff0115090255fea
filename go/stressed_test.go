//go:build znippy_gcstress

package znippy_test

const stressed = true
