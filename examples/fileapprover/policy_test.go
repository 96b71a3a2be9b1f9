package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth"
)

// Each role may do its own and read; nobody else may do anything.
func TestRolesMayDoTheirOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	for path, allowed := range map[string][]string{
		"GET /api/files":                        {"uploader", "upload-approver", "download-approver"},
		"GET /api/me":                           {"uploader", "upload-approver", "download-approver"},
		"GET /":                                 {"uploader", "upload-approver", "download-approver"},
		"GET /assets/app.js":                    {"uploader", "upload-approver", "download-approver"},
		"GET /api/file/" + id:                   {"uploader", "upload-approver", "download-approver"},
		"GET /api/download/" + id:               {"uploader", "upload-approver", "download-approver"},
		"POST /api/file/add":                    {"uploader"},
		"POST /api/approve/" + id:               {"upload-approver"},
		"POST /api/approve/none":                {"upload-approver"},
		"POST /api/approve/download/" + id:      {"download-approver"},
		"POST /api/approve/download/nothing-at": {"download-approver"},
	} {
		method, target, _ := strings.Cut(path, " ")
		for _, role := range roles {
			a := s.do(method, target, "", "Authorization", "Bearer "+role.Name)
			may := false
			for _, name := range allowed {
				may = may || name == role.Name
			}
			if refused := a.status == http.StatusForbidden && strings.Contains(a.body, "needed"); refused == may {
				t.Errorf("%s as %s: %d %s", path, role.Name, a.status, a.body)
			}
		}
		for _, header := range []string{"", "Bearer nobody", "Basic dTpw"} {
			a := s.do(method, target, "", "Authorization", header)
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s with %q: %d %v", path, header, a.status, a.header)
			}
		}
	}
	for _, open := range []string{"/healthz", "/openapi.json"} {
		if a := s.get(open); a.status != http.StatusOK {
			t.Errorf("%s: %d", open, a.status)
		}
	}
}

func TestNobodyApprovesTheOwnUpload(t *testing.T) {
	t.Parallel()
	file := File{FileID: "1", UploadedBy: &Person{ID: "ada", Name: "Ada"}}
	for _, policy := range []auth.Policy{mayApproveUpload, mayApproveDownload} {
		for subject, want := range map[string]auth.Verdict{"ada": auth.Denied, "bob": auth.Allowed} {
			who := &auth.Principal{Subject: subject, Permissions: []string{approveDownloads, approveUploads}}
			d := policy.Decide(t.Context(), who, &decideIn{File: file})
			if d.Verdict != want {
				t.Errorf("%s: %s: %s, want %s", policy, subject, d.Verdict, want)
			}
			if want == auth.Denied && !strings.Contains(d.Why(), "own upload") {
				t.Errorf("the reason is %q", d.Why())
			}
		}
	}
}

// Who did what is kept with the file.
func TestFileSaysWho(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	f := s.file(s.available("hello"))
	for want, got := range map[string]*Person{"uploader": f.UploadedBy, "upload-approver": f.UploadDecidedBy, "download-approver": f.DownloadDecidedBy} {
		if got == nil || got.Name != want || got.ID != "the "+want {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
}
