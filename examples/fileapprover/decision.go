package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/durable"
)

// Decision is what a person decided.
type Decision struct {
	Approved bool   `json:"approved"`
	Comment  string `json:"comment,omitempty"`
}

type decideIn struct {
	Who  auth.Principal
	File File         `bind:"metadata/{fileId}"`
	Body *decisionDoc `body:",optional,strict"`
}

// decisionDoc is a decision as a person sends it; nothing said means yes.
type decisionDoc struct {
	Approved *bool  `json:"approved,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

func (in *decideIn) decision() Decision {
	if in.Body == nil {
		return Decision{Approved: true}
	}
	return Decision{Approved: in.Body.Approved == nil || *in.Body.Approved, Comment: in.Body.Comment}
}

type decideOut struct {
	Status int   `status:"202"`
	File   *File `bind:"metadata/{fileId}"`
	Body   taken `body:""`
}

// taken is the answer to a decision, and to each repetition of it.
type taken struct {
	fileID
	Decision
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
		return nil, conflict("the upload cannot be decided: the file is %s", f.State)
	}
	f.State, f.UploadDecision, f.UploadDecidedAt, f.UploadDecidedBy = Analyzing, &d, perdure.Now(ctx), personOf(in.Who)
	if err := UploadApproved.Raise(ctx, f.InstanceID, d, durable.KeepFor(keepDecision)); err != nil {
		return nil, err
	}
	return decided(ctx, &f, d)
}

// approveDownload takes the decision about a download.
func approveDownload(ctx context.Context, in *decideIn) (*decideOut, error) {
	f, d := in.File, in.decision()
	if f.DownloadDecision != nil {
		return repeated("download", &f, *f.DownloadDecision, d)
	}
	if f.State != AwaitingDownloadApproval {
		return nil, conflict("the download cannot be decided: the file is %s", f.State)
	}
	f.State, f.DownloadDecision, f.DownloadDecidedAt, f.DownloadDecidedBy = Available, &d, perdure.Now(ctx), personOf(in.Who)
	if err := DownloadApproved.Raise(ctx, f.InstanceID, d); err != nil {
		return nil, err
	}
	return decided(ctx, &f, d)
}

// decided writes the row of a file that a person has decided about.
func decided(ctx context.Context, f *File, d Decision) (*decideOut, error) {
	if !d.Approved {
		if err := f.close(ctx, Rejected, d.Comment); err != nil {
			return nil, err
		}
	}
	return &decideOut{File: f, Body: taken{fileID{f.FileID}, d}}, nil
}

// repeated answers a decision that was taken before: the same one gets the same answer.
func repeated(what string, f *File, before, now Decision) (*decideOut, error) {
	if before.Approved != now.Approved {
		was := map[bool]string{true: "approved", false: "rejected"}[before.Approved]
		return nil, conflict("the %s was %s before", what, was)
	}
	return &decideOut{Body: taken{fileID{f.FileID}, before}}, nil
}

func conflict(format string, args ...any) error {
	return perdure.NewProblem(http.StatusConflict, fmt.Sprintf(format, args...))
}
