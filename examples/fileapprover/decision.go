package main

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure/durable"
)

type decideIn struct {
	FileID   string       `path:"fileId"`
	File     File         `bind:"metadata/{fileId}"`
	Decision *decisionDoc `body:",optional"`
}

// decisionDoc is a decision as a person sends it; nothing said means yes.
type decisionDoc struct {
	Approved *bool  `json:"approved,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

func (in *decideIn) decision() Decision {
	if in.Decision == nil {
		return Decision{Approved: true}
	}
	return Decision{Approved: in.Decision.Approved == nil || *in.Decision.Approved, Comment: in.Decision.Comment}
}

type decideOut struct {
	Status int   `status:"202"`
	File   *File `bind:"metadata/{fileId}"`
	Body   *File `body:""`
}

// keepDecision is how long a decision waits for a process that the blob trigger has yet
// to start.
const keepDecision = 24 * time.Hour

// approveUpload takes the decision about an upload. The row and the event to the process
// commit together.
func approveUpload(ctx context.Context, in *decideIn) (*decideOut, error) {
	f, d := in.File, in.decision()
	if f.UploadDecision != nil {
		return repeated("upload", &f, *f.UploadDecision, d)
	}
	if f.State != AwaitingUploadApproval {
		return nil, conflict(fmt.Sprintf("the upload cannot be decided any more: the file is %s", f.State))
	}
	f.UploadDecision, f.UploadDecidedAt, f.State = &d, time.Now().UTC(), Analyzing
	if !d.Approved {
		if err := f.close(ctx, Rejected, d.Comment, f.UploadDecidedAt); err != nil {
			return nil, err
		}
	}
	err := UploadApproved.Raise(ctx, f.InstanceID, d, durable.KeepFor(keepDecision))
	return &decideOut{File: &f, Body: &f}, err
}

// approveDownload takes the decision about a download.
func approveDownload(ctx context.Context, in *decideIn) (*decideOut, error) {
	f, d := in.File, in.decision()
	if f.DownloadDecision != nil {
		return repeated("download", &f, *f.DownloadDecision, d)
	}
	if f.State != AwaitingDownloadApproval {
		return nil, conflict(fmt.Sprintf("the download cannot be decided now: the file is %s", f.State))
	}
	f.DownloadDecision, f.DownloadDecidedAt, f.State = &d, time.Now().UTC(), Available
	if !d.Approved {
		if err := f.close(ctx, Rejected, d.Comment, f.DownloadDecidedAt); err != nil {
			return nil, err
		}
	}
	err := DownloadApproved.Raise(ctx, f.InstanceID, d)
	return &decideOut{File: &f, Body: &f}, err
}

// repeated answers a decision that was taken before: the same one gets the same answer.
func repeated(what string, f *File, before, now Decision) (*decideOut, error) {
	if before.Approved != now.Approved {
		was := map[bool]string{true: "approved", false: "rejected"}[before.Approved]
		return nil, conflict(fmt.Sprintf("the %s was %s before", what, was))
	}
	return &decideOut{Body: f}, nil
}
