//go:build !unix

package authority

import "os"

// ownAs gives a file to the owner of a folder; here it has whom the folder says already.
func ownAs(*os.File, string) error { return nil }

// readOwned reads a file.
func readOwned(path string) ([]byte, error) { return os.ReadFile(path) }
