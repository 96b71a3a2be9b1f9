package analysis

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// childArgument is the first argument of the program when it is to be an analysis child.
const childArgument = "perdure-fileapprover-analysis-child"

// The files a child is started with.
const (
	fileFD     = 0 // the file to analyse
	resultFD   = 3 // pipe to the parent for frames
	lifelineFD = 4 // pipe from the parent that ends when the parent does
)

// exitNotLimited is the exit code of a child that could not limit itself and so read nothing.
const exitNotLimited = 70

// childOptions is the second argument of a child, in JSON.
type childOptions struct {
	Memory         int64         `json:"memory"`
	CPU            time.Duration `json:"cpu"`
	Tesseract      string        `json:"tesseract,omitempty"` // absolute path; empty when not installed
	TessdataPrefix string        `json:"tessdataPrefix,omitempty"`
	OCRTimeout     time.Duration `json:"ocrTimeout"`
}

// MaybeChild makes this process an analysis child when it was started as one; it then does the work and exits.
// Otherwise it returns at once. It must be the first call of main (of TestMain, in tests).
func MaybeChild() {
	if len(os.Args) != 3 || os.Args[1] != childArgument {
		return
	}
	var o childOptions
	err := json.Unmarshal([]byte(os.Args[2]), &o)
	if err == nil {
		err = limitProcess(o.Memory, o.CPU)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitNotLimited)
	}
	// Near the limit the collector works harder before the kernel refuses; a parser that recurses without end stops
	// before it has used all the memory.
	debug.SetMemoryLimit(o.Memory * 3 / 4)
	debug.SetMaxStack(64 << 20)
	// Tesseract inherits neither pipe.
	unix.CloseOnExec(resultFD)
	unix.CloseOnExec(lifelineFD)
	go dieWithParent()
	go dieAtLimitOfCPU()

	out := json.NewEncoder(os.NewFile(resultFD, "result"))
	f := &findings{send: func(fr frame) error { return out.Encode(fr) }}
	if f.send(frame{Ready: true}) != nil {
		os.Exit(1)
	}
	inspect(context.Background(), os.NewFile(fileFD, "file"), f, o)
	if f.send(frame{Done: true}) != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// dieWithParent kills this process and its group, tesseract included, when the parent ends in any way.
func dieWithParent() {
	_, _ = io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
	_ = unix.Kill(0, unix.SIGKILL)
}

// cpuLimitReached is what a child says on stderr when it ends for want of processor time.
const cpuLimitReached = "limit of processor time reached"

// dieAtLimitOfCPU ends this process at the soft limit of processor time, which Go by itself ignores, so that the
// parent learns the reason. The hard limit ends it a second later in any case.
func dieAtLimitOfCPU() {
	reached := make(chan os.Signal, 1)
	signal.Notify(reached, unix.SIGXCPU)
	<-reached
	fmt.Fprintln(os.Stderr, cpuLimitReached)
	os.Exit(1)
}
