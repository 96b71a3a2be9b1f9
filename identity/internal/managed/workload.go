package managed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/internal/problem"
)

const (
	// workloadLife is how long a workload goes on that nobody renews.
	workloadLife = 15 * time.Minute
	// maxIdentities bounds the identities of a workload.
	maxIdentities = 20
	// maxBody bounds the body of a request, in bytes.
	maxBody = 16 << 10
)

// WorkloadRequest is what begins a workload, or renews it.
type WorkloadRequest struct {
	// Identities are names, client ids or object ids; none stands for the one that Workloads was given.
	Identities []string `json:"identities,omitempty"`
	// UserID is that of the operating system's user it runs as.
	UserID int `json:"uid"`
}

// WorkloadAnswer is a workload that runs.
type WorkloadAnswer struct {
	Endpoint string    `json:"endpoint"` // URL for IDENTITY_ENDPOINT
	ClientID string    `json:"client_id"`
	Expires  time.Time `json:"expires"`
}

// Workloads serves what begins and ends workloads: PUT and DELETE /workloads/{digest}, with the SHA-256 of the
// workload's secret in hexadecimal digits, so that the secret itself comes nowhere but to the endpoint. Who reaches
// it may act as every identity: it is for the operator of the machine. The endpoint is the URL of the
// loopback endpoint; standard returns the identity of workloads that name none.
func (e *Endpoints) Workloads(endpoint string, standard func(context.Context) (*directory.ManagedIdentity, error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /workloads/{digest}", func(w http.ResponseWriter, r *http.Request) {
		digest, request, err := readWorkload(w, r)
		if err == nil && endpoint == "" {
			err = problem.New(http.StatusConflict, "the app does not listen on a loopback address, where workloads could ask for tokens")
		}
		if err != nil {
			e.refuse(w, r, err)
			return
		}
		var row *directory.Workload
		err = e.env.Unit(r.Context(), func(ctx context.Context) error {
			row, err = e.begin(ctx, digest, request, standard)
			return err
		})
		if err != nil {
			e.refuse(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, http.StatusOK, &WorkloadAnswer{endpoint, row.Identities[0], row.Expires})
	})
	mux.HandleFunc("DELETE /workloads/{digest}", func(w http.ResponseWriter, r *http.Request) {
		digest, err := parseDigest(r.PathValue("digest"))
		if err == nil {
			err = e.env.Unit(r.Context(), func(ctx context.Context) error { return e.end(ctx, digest) })
		}
		if err != nil {
			e.refuse(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// refuse answers by a problem.
func (e *Endpoints) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Error
	if !errors.As(err, &p) {
		e.env.Log.ErrorContext(r.Context(), "a workload could not be changed", "error", err)
		p = problem.New(http.StatusInternalServerError, "the request could not be handled")
	}
	p.Write(w)
}

func readWorkload(w http.ResponseWriter, r *http.Request) (digest []byte, request WorkloadRequest, err error) {
	if digest, err = parseDigest(r.PathValue("digest")); err != nil {
		return nil, request, err
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	request.UserID = -1
	if err := d.Decode(&request); err != nil {
		return nil, request, problem.New(http.StatusBadRequest, "the body must be a JSON object with identities and uid")
	}
	if request.UserID < 0 {
		return nil, request, problem.New(http.StatusBadRequest, "workloads need a uid: an operating system with Unix users")
	}
	if len(request.Identities) > maxIdentities {
		return nil, request, problem.New(http.StatusBadRequest, fmt.Sprintf("there are %d identities, at most %d are allowed", len(request.Identities), maxIdentities))
	}
	return digest, request, nil
}

// parseDigest reads a digest in hexadecimal digits.
func parseDigest(text string) ([]byte, error) {
	digest, err := hex.DecodeString(text)
	if err != nil || len(digest) != sha256.Size || hex.EncodeToString(digest) != text {
		return nil, problem.New(http.StatusBadRequest, "the path must end in a SHA-256 digest in hexadecimal digits")
	}
	return digest, nil
}

// begin begins a workload, or renews one.
func (e *Endpoints) begin(ctx context.Context, digest []byte, request WorkloadRequest, standard func(context.Context) (*directory.ManagedIdentity, error)) (*directory.Workload, error) {
	now := e.env.Now()
	row := &directory.Workload{Digest: digest, UserID: request.UserID, Created: now, Expires: now.Add(workloadLife)}
	var all []*directory.ManagedIdentity
	if len(request.Identities) == 0 {
		identity, err := standard(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, identity)
	}
	for _, name := range request.Identities {
		identity, err := e.find(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, identity)
	}
	for _, identity := range all {
		row.Identities = append(row.Identities, identity.ClientID)
	}
	key := directory.Key(hex.EncodeToString(digest))
	before, err := directory.Workloads.Get(ctx, key)
	switch {
	case err == nil:
		row.Created = before.Created
	case !errors.Is(err, directory.ErrNotFound):
		return nil, err
	default:
		for _, identity := range all {
			detail := fmt.Sprintf("a workload of the Unix user %d may act as managed identity %q", request.UserID, identity.Name)
			if err := e.env.Audit(ctx, directory.Command.Entry(directory.AuditUpdated, identity.ID, detail)); err != nil {
				return nil, err
			}
		}
	}
	return row, directory.Workloads.Put(ctx, key, row)
}

// find returns an identity by its name, client id or object id.
func (e *Endpoints) find(ctx context.Context, name string) (*directory.ManagedIdentity, error) {
	for _, by := range []func(context.Context, string) (*directory.ManagedIdentity, error){
		e.env.ManagedIdentityByName, e.env.ManagedIdentity, e.env.ManagedIdentityByObject,
	} {
		identity, err := by(ctx, name)
		if !errors.Is(err, directory.ErrNotFound) {
			return identity, err
		}
	}
	return nil, problem.New(http.StatusNotFound, fmt.Sprintf("there is no managed identity %.80q", name))
}

// end ends a workload. One that has ended is no error.
func (e *Endpoints) end(ctx context.Context, digest []byte) error {
	key := directory.Key(hex.EncodeToString(digest))
	row, err := directory.Workloads.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := directory.Workloads.Delete(ctx, key); err != nil {
		return err
	}
	for _, clientID := range row.Identities {
		identity, err := e.env.ManagedIdentity(ctx, clientID)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		detail := fmt.Sprintf("a workload of the Unix user %d has ended", row.UserID)
		if err := e.env.Audit(ctx, directory.Command.Entry(directory.AuditUpdated, identity.ID, detail)); err != nil {
			return err
		}
	}
	return nil
}
