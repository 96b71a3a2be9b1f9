package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	syncRecordBytes = 300
	syncWarmUp      = 100
	syncSamples     = 1000
)

// requireRealDisk refuses a folder that lives in memory: syncing there costs nothing and says nothing.
func requireRealDisk(dir string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("look at the file system of %q: %w", dir, err)
	}
	if stat.Type == unix.TMPFS_MAGIC || stat.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%q is in memory (tmpfs); choose a folder on a disk with -dir", dir)
	}
	return nil
}

// measureSync appends small records to a file, syncs the data of each, and reports how long one took. It is the
// floor under every durable commit on this disk.
func measureSync(base string) (row, error) {
	file, err := os.CreateTemp(base, "sync-*")
	if err != nil {
		return row{}, err
	}
	defer os.Remove(file.Name())
	defer file.Close()

	record := make([]byte, syncRecordBytes)
	appendAndSync := func() error {
		if _, err := file.Write(record); err != nil {
			return err
		}
		return unix.Fdatasync(int(file.Fd()))
	}
	for range syncWarmUp {
		if err := appendAndSync(); err != nil {
			return row{}, err
		}
	}
	samples := make([]time.Duration, syncSamples)
	begin := time.Now()
	for i := range samples {
		start := time.Now()
		if err := appendAndSync(); err != nil {
			return row{}, err
		}
		samples[i] = time.Since(start)
	}
	result := row{
		Peer: "disk", Workload: "sync", Store: "file", Durability: "fdatasync of each append",
		Concurrency: 1, PayloadBytes: syncRecordBytes,
	}
	result.setTotals(syncSamples, 0, time.Since(begin))
	result.setPercentiles(samples)
	return result, nil
}

// diskUse returns the bytes that the files below dir take on the disk. Files that vanish meanwhile do not count.
func diskUse(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
			total += stat.Blocks * 512
		}
		return nil
	})
	return total, err
}
