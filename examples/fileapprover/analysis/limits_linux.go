package analysis

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// minMemory is the least limit of memory under which the readers of formats can start.
const minMemory = 64 << 20

// limitProcess limits this process and whatever it starts, for good. Memory counts from what the process has now:
// Go reserves address space at start that it never uses, so an absolute limit would say little.
func limitProcess(memory int64, cpu time.Duration) error {
	if memory < minMemory {
		return fmt.Errorf("limit of memory is %d bytes, needs at least %d", memory, minMemory)
	}
	size, data, err := mapped()
	if err != nil {
		return err
	}
	if err := closeInherited(); err != nil {
		return err
	}
	seconds := uint64(max(1, cpu/time.Second))
	limits := []struct {
		name     string
		resource int
		soft     uint64
		hard     uint64
	}{
		// Private writable memory: the heap. It is the limit that a decompression bomb meets.
		{"data", unix.RLIMIT_DATA, data + uint64(memory), data + uint64(memory)},
		// Everything mapped, reservations included, hence twice the heap: a net under the limit above.
		{"address space", unix.RLIMIT_AS, size + 2*uint64(memory), size + 2*uint64(memory)},
		// The soft limit sends a signal, see dieAtLimitOfCPU; the hard one kills.
		{"processor time", unix.RLIMIT_CPU, seconds, seconds + 1},
		{"file size", unix.RLIMIT_FSIZE, 0, 0},
		{"open files", unix.RLIMIT_NOFILE, 32, 32},
		{"core size", unix.RLIMIT_CORE, 0, 0},
	}
	for _, l := range limits {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.soft, Max: l.hard}); err != nil {
			return fmt.Errorf("set limit of %s: %w", l.name, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse new privileges: %w", err)
	}
	return nil
}

// closeInherited closes files that came to this process from whoever started its parent. Those that Go has opened
// here close on exec, which an inherited one cannot.
func closeInherited() error {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, file := range files {
		fd, err := strconv.Atoi(file.Name())
		if err != nil || fd <= lifelineFD {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
	return nil
}

// mapped returns the bytes this process has mapped, and those of them that are data, by proc_pid_statm(5).
func mapped() (size, data uint64, err error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, fmt.Errorf("read mapped memory: %w", err)
	}
	var resident, shared, text, lib uint64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared, &text, &lib, &data); err != nil {
		return 0, 0, fmt.Errorf("read mapped memory: %w", err)
	}
	page := uint64(os.Getpagesize())
	return size * page, data * page, nil
}
