package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory is what the kernel says of a process, in bytes.
type memory struct {
	peak    int64 // VmHWM: the largest resident set so far
	current int64 // VmRSS: the resident set now
	shmem   int64 // RssShmem: the part of current that is shared memory
	file    int64 // RssFile: the part of current that is mapped from files, such as the program itself
}

// readMemory reads /proc/PID/status.
func readMemory(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(string(text))
}

func parseMemory(status string) (memory, error) {
	var m memory
	fields := map[string]*int64{"VmHWM": &m.peak, "VmRSS": &m.current, "RssShmem": &m.shmem, "RssFile": &m.file}
	found := 0
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		target := fields[key]
		if target == nil {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("process status, %s: %w", key, err)
		}
		*target = kilobytes << 10
		found++
	}
	if found != len(fields) {
		return m, fmt.Errorf("process status has %d of the %d fields wanted", found, len(fields))
	}
	return m, nil
}

// processTree returns pid and all its descendants.
func processTree(pid int) []int {
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", tree[i]))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			for _, field := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					tree = append(tree, child)
				}
			}
		}
	}
	return tree
}

// sumMemory adds up this process and the server's processes, if the engine has any: peak and current, in MB. What the
// processes of one server share, and each counts as its own, is counted once.
func sumMemory(server int) (peakMB, currentMB float64, err error) {
	own, err := readMemory(os.Getpid())
	if err != nil {
		return 0, 0, err
	}
	sum := own
	if server != 0 {
		var shared int64
		for _, pid := range processTree(server) {
			m, err := readMemory(pid)
			if err != nil {
				continue // ended meanwhile
			}
			sum.peak += m.peak - m.shmem - m.file
			sum.current += m.current - m.shmem - m.file
			shared = max(shared, m.shmem+m.file)
		}
		sum.peak += shared
		sum.current += shared
	}
	return megabytes(sum.peak), megabytes(sum.current), nil
}

func megabytes(bytes int64) float64 { return round(float64(bytes)/(1<<20), 1) }
