package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which the kernel tells the processor time of another process: USER_HZ, a hundredth of a second
// on every Linux.
const tick = 10 * time.Millisecond

// processCPU returns the processor time that a process has taken, in user mode and in the kernel; 0 without a process.
func processCPU(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseCPU(string(text))
}

// parseCPU reads utime and stime, fields 14 and 15. Field 2 is a name in parentheses, which may have spaces.
func parseCPU(stat string) (time.Duration, error) {
	_, rest, found := cutLast(stat, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 13 {
		return 0, errors.New("process stat has too few fields")
	}
	var sum time.Duration
	for _, field := range fields[11:13] { // field 3 is the first of them
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process stat: %w", err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}
