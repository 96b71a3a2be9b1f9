package managed_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/managed"
)

func TestWorkloadEnds(t *testing.T) {
	t.Parallel()
	onLinux(t)
	w := newWorld(t, nil)
	w.ask(t, good).want(t, "before it begins", 401, "")
	w.begin(t)
	if got := w.ask(t, good); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.Message)
	}
	for range 2 { // ended twice is ended
		if rec := w.administer(t, "DELETE", "/workloads/"+digest(secret), ""); rec.Code != http.StatusNoContent {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	w.ask(t, good).want(t, "replay after the end", 401, "")

	// Without anybody to end it, the time does, also before the row is removed.
	w.begin(t)
	w.Clock.Advance(managed.WorkloadLife - time.Second)
	if got := w.ask(t, good); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.Message)
	}
	w.Clock.Advance(time.Second)
	w.ask(t, good).want(t, "after its time", 401, "")
	w.begin(t) // renewed
	if got := w.ask(t, good); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.Message)
	}
	if details := w.audited(t, directory.AuditUpdated); len(details) != 4 {
		t.Errorf("audit log %q, want beginning, end and two more beginnings", details)
	}
	// With its identity it ends as well.
	w.Do(t, func(ctx context.Context) error {
		return w.DeleteManagedIdentity(ctx, directory.Command, w.identity.ClientID)
	})
	w.ask(t, good).want(t, "deleted identity", 400, "no such identity")
	if rec := w.administer(t, "DELETE", "/workloads/"+digest(secret), ""); rec.Code != http.StatusNoContent {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestWorkloadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	path, uid := "/workloads/"+digest(secret), `"uid":`+strconv.Itoa(os.Getuid())
	for _, one := range []struct {
		name, path, body string
		status           int
	}{
		{"digest", "/workloads/abc", `{` + uid + `}`, 400},
		{"digest in capitals", strings.ToUpper(path[len("/workloads/"):]), `{` + uid + `}`, 404},
		{"secret for a digest", "/workloads/" + secret, `{` + uid + `}`, 400},
		{"no user", path, `{}`, 400},
		{"bad user", path, `{"uid":-1}`, 400},
		{"nonsense", path, `[]`, 400},
		{"unknown member", path, `{"user":1}`, 400},
		{"unknown identity", path, `{"identities":["nobody"],` + uid + `}`, 404},
		{"empty name", path, `{"identities":[""],` + uid + `}`, 404},
		{"many identities", path, `{"identities":["x"` + strings.Repeat(`,"x"`, 20) + `],` + uid + `}`, 400},
		{"huge", path, `{"identities":["` + strings.Repeat("x", 20<<10) + `"],` + uid + `}`, 400},
	} {
		if !strings.HasPrefix(one.path, "/") {
			one.path = "/" + one.path
		}
		if rec := w.administer(t, "PUT", one.path, one.body); rec.Code != one.status {
			t.Errorf("%s: %d %s, want %d", one.name, rec.Code, rec.Body, one.status)
		}
	}
	rec := w.administer(t, "PUT", path, `{"identities":["`+w.other.ClientID+`"],`+uid+`}`)
	var got managed.WorkloadAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got.ClientID != w.other.ClientID || !strings.HasSuffix(got.Endpoint, managed.PathToken) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !got.Expires.Equal(w.Now().Add(managed.WorkloadLife)) {
		t.Errorf("it ends at %v", got.Expires)
	}
	w.admin = w.endpoints.Workloads("", nil)
	if rec := w.administer(t, "PUT", path, `{`+uid+`}`); rec.Code != http.StatusConflict {
		t.Errorf("without an endpoint: %d %s", rec.Code, rec.Body)
	}
}
