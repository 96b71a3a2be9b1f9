//go:build !failpoint

package failpoint

// Hit is passed when the program reaches p.
func Hit(Point) {}
