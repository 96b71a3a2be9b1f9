package main

import (
	"context"
	"errors"
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

	UploadedBy        *Person `json:"uploadedBy,omitempty"`
	UploadDecidedBy   *Person `json:"uploadDecidedBy,omitempty"`
	DownloadDecidedBy *Person `json:"downloadDecidedBy,omitempty"`

	UploadedAt        time.Time `json:"uploadedAt"`
	UploadDecidedAt   time.Time `json:"uploadDecidedAt,omitzero"`
	AnalyzedAt        time.Time `json:"analyzedAt,omitzero"`
	DownloadDecidedAt time.Time `json:"downloadDecidedAt,omitzero"`
	ClosedAt          time.Time `json:"closedAt,omitzero"`

	Metadata []analysis.Entry `json:"metadata,omitempty"`
}

// close ends a file's life: from the commit of this unit on, nothing reaches its bytes.
func (f *File) close(ctx context.Context, s State, cause string) error {
	f.State, f.Cause, f.ClosedAt = s, cause, perdure.Now(ctx)
	for _, c := range []*blob.ContainerRef{Files, Thumbnails} {
		if err := c.Delete(ctx, f.FileID); err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
	}
	return nil
}
