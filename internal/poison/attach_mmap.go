//go:build linux || darwin

package poison

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attach maps the file. The mapping lives as long as the journal, also after
// Close: a run that outlasts Close still stores into it when it leaves.
func (j *Journal) attach(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() // a mapping does not need it
	mapped, err := unix.Mmap(int(f.Fd()), 0, fileWords*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	// A mapping begins at a page, so its words are aligned.
	j.words = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mapped))), fileWords)
	runtime.AddCleanup(j, func(mapped []byte) { _ = unix.Munmap(mapped) }, mapped)
	return nil
}
