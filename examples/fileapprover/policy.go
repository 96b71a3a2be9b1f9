package main

import (
	"context"
	"errors"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
)

// The permissions of the file approver.
const (
	readFiles        = "read:files"
	uploadFiles      = "upload:files"
	approveUploads   = "approve:uploads"
	approveDownloads = "approve:downloads"
)

// What is required of who sends a request.
var (
	mayRead            = auth.Permission(readFiles)
	mayUpload          = auth.Permission(uploadFiles)
	mayApproveUpload   = auth.All(auth.Permission(approveUploads), notOwn)
	mayApproveDownload = auth.All(auth.Permission(approveDownloads), notOwn)
)

// notOwn lets nobody decide about a file that the same person has uploaded.
var notOwn = auth.Resource("the upload of another person", func(_ context.Context, who *auth.Principal, in *decideIn) error {
	if by := in.File.UploadedBy; by != nil && by.ID == who.Subject {
		return errors.New("nobody decides about their own upload")
	}
	return nil
})

// roles are what people can be. Each may read.
var roles = []identity.Role{
	{Name: "uploader", Description: "Uploads files", Permissions: []string{readFiles, uploadFiles}},
	{Name: "upload-approver", Description: "Decides which uploads come in", Permissions: []string{readFiles, approveUploads}},
	{Name: "download-approver", Description: "Decides which files may be downloaded", Permissions: []string{readFiles, approveDownloads}},
}

// people are the accounts of demo mode, one for each role, and a second uploader.
var people = identity.Demo{
	Users: []identity.DemoUser{
		{Username: "uma", Name: "Uma Uploader", Roles: []string{"uploader"}},
		{Username: "uli", Name: "Uli Uploader", Roles: []string{"uploader"}},
		{Username: "ada", Name: "Ada Approver", Roles: []string{"upload-approver"}},
		{Username: "dan", Name: "Dan Approver", Roles: []string{"download-approver"}},
	},
	ClientPermissions: []string{readFiles},
}

// Person is who did something.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func personOf(who auth.Principal) *Person { return &Person{ID: who.Subject, Name: who.Name} }

type meIn struct{ Who auth.Principal }

type meOut struct {
	Body me `body:""`
}

// me is who asks, as the page shows it.
type me struct {
	Person
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
}

// whoAmI answers who asks, and what they may do.
func whoAmI(_ context.Context, in *meIn) (*meOut, error) {
	return &meOut{me{*personOf(in.Who), in.Who.Roles, in.Who.Permissions}}, nil
}
