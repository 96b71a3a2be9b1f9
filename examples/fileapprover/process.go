package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// FileRef names a file.
type FileRef struct {
	FileID string `json:"fileId"`
}

// Closing says how a file's life is to end.
type Closing struct {
	FileRef
	State State  `json:"state"`
	Cause string `json:"cause"`
}

var (
	UploadApproved   = durable.NewEvent[Decision]("UploadApproved")
	DownloadApproved = durable.NewEvent[Decision]("DownloadApproved")
	AnalyzeFile      = durable.NewActivity[FileRef, State]("AnalyzeFile")
	Close            = durable.NewActivity[Closing, State]("Close")
	ProcessFile      = durable.NewOrchestration[FileRef, State]("ProcessFile")
)

// approver is what the process needs of the program.
type approver struct {
	wait     time.Duration
	analyzer *analysis.Analyzer
}

// processFile is the life of a file after its upload.
func (a *approver) processFile(ctx *durable.Context, file FileRef) (State, error) {
	if state, err := a.awaitPerson(ctx, UploadApproved, file, Analyzing); state != Analyzing {
		return state, err
	}
	if _, err := AnalyzeFile.Call(ctx, file, durable.Retry{Attempts: 5}); err != nil {
		return Close.Call(ctx, Closing{file, Failed, err.Error()}, durable.Retry{Attempts: 10})
	}
	return a.awaitPerson(ctx, DownloadApproved, file, Available)
}

// awaitPerson waits for a decision. It returns next when the person agrees, and how the file
// ended otherwise.
func (a *approver) awaitPerson(ctx *durable.Context, event *durable.Event[Decision], file FileRef, next State) (State, error) {
	d, err := event.Wait(ctx, durable.Within(a.wait))
	switch {
	case errors.Is(err, durable.ErrTimeout):
		// The row decides: a person may have been faster than this timeout.
		cause := fmt.Sprintf("nobody decided within %v", a.wait)
		return Close.Call(ctx, Closing{file, Expired, cause}, durable.Retry{Attempts: 10})
	case err != nil:
		return "", err
	case !d.Approved:
		return Rejected, nil
	}
	return next, nil
}

// analyzeFile finds out what the file is. What it writes commits with its result.
func (a *approver) analyzeFile(ctx context.Context, in FileRef) (State, error) {
	content, err := Files.Open(ctx, in.FileID)
	if err != nil {
		return "", err
	}
	defer content.Close()
	found, err := a.analyzer.Run(ctx, content)
	if err != nil {
		return "", err
	}
	if t := found.Thumbnail; t != nil {
		if _, err := Thumbnails.Write(ctx, in.FileID, bytes.NewReader(t.Data), blob.ContentType(t.ContentType)); err != nil {
			return "", err
		}
	}
	return AwaitingDownloadApproval, Metadata.Update(ctx, in.FileID, func(f *File) error {
		f.State, f.AnalyzedAt = AwaitingDownloadApproval, perdure.Now(ctx)
		f.ContentType = valueOf(found.Entries, "ContentType")
		f.Metadata = append(found.Entries, explainName(f.Name, f.ContentType)...)
		return nil
	})
}

// closeFile ends the life of a file that still waits, and returns the state it is in.
func closeFile(ctx context.Context, in Closing) (state State, err error) {
	err = Metadata.Update(ctx, in.FileID, func(f *File) error {
		defer func() { state = f.State }()
		if in.State == Expired && f.State != AwaitingUploadApproval && f.State != AwaitingDownloadApproval {
			return nil
		}
		return f.close(ctx, in.State, in.Cause)
	})
	return state, err
}

// valueOf returns the value of the entry called name; empty without one.
func valueOf(entries []analysis.Entry, name string) string {
	for _, e := range entries {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}
