package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
	"github.com/perdure/perdure/table"
)

type addIn struct {
	Who    auth.Principal
	Upload *perdure.Upload `body:"file"` // the raw body, or the form field "file"
}

type fileID struct {
	FileID string `json:"fileId"`
}

type addOut struct {
	Status   int    `status:"201"`
	Location string `header:"Location"`
	Body     fileID `body:""`
}

// addFile takes an upload. The bytes and the row that describes them commit together;
// the blob's arrival then starts the process.
func addFile(ctx context.Context, in *addIn) (*addOut, error) {
	id, err := uuid.NewV7() // ascends with time, so that the newest file is the last row
	if err != nil {
		return nil, err
	}
	info, err := Files.Write(ctx, id.String(), in.Upload.Body, blob.Metadata{"filename": in.Upload.Name})
	if err != nil {
		return nil, err
	}
	err = Metadata.Insert(ctx, id.String(), &File{
		FileID: id.String(), InstanceID: id.String(), Name: in.Upload.Name, Size: info.Size,
		State: AwaitingUploadApproval, UploadedAt: info.Created, UploadedBy: personOf(in.Who),
	})
	return &addOut{Location: "/api/file/" + id.String(), Body: fileID{id.String()}}, err
}

type startIn struct {
	FileID string `path:"fileId"`
}

// startProcess is triggered by the blob. The instance has the file's id, so that a
// decision finds it.
func startProcess(ctx context.Context, in *startIn) (*struct{}, error) {
	_, err := ProcessFile.Start(ctx, FileRef{in.FileID}, durable.ID(in.FileID))
	return nil, err
}

type getIn struct {
	File File `bind:"metadata/{fileId}"`
}

type getOut struct {
	Body File `body:""`
}

func getFile(_ context.Context, in *getIn) (*getOut, error) { return &getOut{in.File}, nil }

type listIn struct {
	Limit int    `query:"limit" default:"50"`
	After string `query:"after"`
}

type listOut struct {
	Body filePage `body:""`
}

type filePage struct {
	Files []File `json:"files"`
	Next  string `json:"next"`
}

// listFiles pages through the files, newest first.
func listFiles(ctx context.Context, in *listIn) (*listOut, error) {
	if in.Limit < 1 || in.Limit > 200 {
		return nil, perdure.NewProblem(http.StatusBadRequest, "limit must be 1 to 200")
	}
	options := []table.ScanOption{table.Reverse()}
	if in.After != "" {
		options = append(options, table.After(in.After))
	}
	rows, next, err := table.Page(Metadata.Scan(ctx, "", options...), in.Limit)
	if errors.Is(err, table.ErrCursor) {
		return nil, perdure.NewProblem(http.StatusBadRequest, "after must be what an earlier page gave as next")
	}
	page := filePage{Files: make([]File, len(rows)), Next: next}
	for i, row := range rows {
		page.Files[i] = *row.Value
		page.Files[i].Metadata = nil // it may be long; ask for the one file
	}
	return &listOut{page}, err
}

type thumbnailIn struct {
	Info  blob.Info `bind:"thumbnails/{fileId}"`
	Bytes []byte    `bind:"thumbnails/{fileId}"`
}

type thumbnailOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte `body:"image/*"`
}

// getThumbnail answers the picture that the analysis has encoded anew.
func getThumbnail(_ context.Context, in *thumbnailIn) (*thumbnailOut, error) {
	return &thumbnailOut{ContentType: in.Info.ContentType, Body: in.Bytes}, nil
}

type downloadIn struct {
	File   File `bind:"metadata/{fileId}"`
	Origin perdure.Origin
}

type downloadOut struct {
	Body downloadBody `body:""`
}

type downloadBody struct {
	FileID      string           `json:"fileId"`
	Metadata    []analysis.Entry `json:"metadata"`
	DownloadURL string           `json:"downloadUrl"`
	ExpiresAt   time.Time        `json:"expiresAt"`
}

// download answers what was found out about a file, and a link to its bytes.
func download(ctx context.Context, in *downloadIn) (*downloadOut, error) {
	if in.File.State != Available {
		return nil, perdure.NewProblem(http.StatusForbidden, "the file is not available: it is "+string(in.File.State))
	}
	link, err := Files.SignedURL(ctx, in.File.FileID, blob.Expires(time.Hour))
	if err != nil {
		return nil, err
	}
	return &downloadOut{downloadBody{
		FileID: in.File.FileID, Metadata: in.File.Metadata,
		DownloadURL: in.Origin.URL(link.URL), ExpiresAt: link.Expires,
	}}, nil
}
