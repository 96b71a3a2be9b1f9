//go:build !linux

package analysis

import (
	"fmt"
	"runtime"
	"time"
)

// limitProcess refuses: without limits on the process, hostile files must not be parsed.
func limitProcess(int64, time.Duration) error {
	return fmt.Errorf("file analysis needs Linux, this is %s", runtime.GOOS)
}
