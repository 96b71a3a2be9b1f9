// Command testreport reads the output of "go test -json" and prints what a
// person wants of it: one line per package, the whole output of each test that
// failed, and the tests that were skipped. It fails when a test failed, when a
// test was skipped, or when there was no test at all: a run that says "all
// passed" has run everything.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := report(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}
