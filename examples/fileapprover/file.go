package main

import (
	"context"
	"net/http"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
	"github.com/perdure/perdure/table"
)

// Where everything is kept.
var (
	Files      = blob.Container("files")
	Thumbnails = blob.Container("thumbnails")
	Metadata   = table.Of[File]("metadata")
)

// State says where a file stands.
type State string

// The states of a file.
const (
	AwaitingUploadApproval   State = "AwaitingUploadApproval"
	Analyzing                State = "Analyzing"
	AwaitingDownloadApproval State = "AwaitingDownloadApproval"
	Available                State = "Available"
	Rejected                 State = "Rejected"
	Expired                  State = "Expired"
	Failed                   State = "Failed"
)

// File is a row of the metadata table: all there is to know about a file. It is what
// decides: whoever changes a file's state reads this row in the same unit of work, so
// of a person and a timeout that come at the same moment one wins, for everybody.
type File struct {
	FileID      string `json:"fileId"`
	Name        string `json:"name,omitempty"`
	Size        int64  `json:"size"`
	ContentType string `json:"contentType,omitempty"` // as the analysis found it
	State       State  `json:"state"`
	Cause       string `json:"cause,omitempty"`
	InstanceID  string `json:"instanceId"`

	UploadDecision   *Decision `json:"uploadDecision,omitempty"`
	DownloadDecision *Decision `json:"downloadDecision,omitempty"`

	UploadedAt        time.Time `json:"uploadedAt"`
	UploadDecidedAt   time.Time `json:"uploadDecidedAt,omitzero"`
	AnalyzedAt        time.Time `json:"analyzedAt,omitzero"`
	DownloadDecidedAt time.Time `json:"downloadDecidedAt,omitzero"`
	ClosedAt          time.Time `json:"closedAt,omitzero"`

	Metadata []analysis.Entry `json:"metadata,omitempty"`
}

// Decision is what a person decided.
type Decision struct {
	Approved bool   `json:"approved"`
	Comment  string `json:"comment,omitempty"`
}

// close ends a file's life: from the commit of this unit on, nothing reaches its bytes.
func (f *File) close(ctx context.Context, s State, cause string, at time.Time) error {
	f.State, f.Cause, f.ClosedAt = s, cause, at
	for _, c := range []*blob.ContainerRef{Files, Thumbnails} {
		if err := ignoreNotFound(c.Delete(ctx, f.FileID)); err != nil {
			return err
		}
	}
	return nil
}

func conflict(detail string) error { return perdure.NewProblem(http.StatusConflict, detail) }
