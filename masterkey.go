package perdure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"gocloud.dev/secrets"

	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/problem"
)

// masterEnv begins a Config.MasterKey that names a variable of the environment.
const masterEnv = "env:"

var errNothingSealed = errors.New("the app seals nothing: it has no Config.Identity and no Config.Vault")

// masterKey is where the key is that opens the data folder's keyring.
type masterKey struct {
	path     string // of a file; empty for the others
	variable string
	keeper   *secrets.Keeper
}

// openKeys opens the keystore. An app that keeps nothing seals by a key that ends with it.
func (r *running) openKeys(ctx context.Context) error {
	if r.temporary != "" || r.lent != nil {
		r.keys = keystore.NewMemory()
		return nil
	}
	var created bool
	var err error
	options := keystore.Options{Clock: r.clock}
	switch at := r.config.MasterKey; {
	case strings.HasPrefix(at, masterEnv):
		r.master.variable = strings.TrimPrefix(at, masterEnv)
		err = r.openEnvironmentKeys(options)
	case strings.Contains(at, "://"):
		if r.master.keeper, err = secrets.OpenKeeper(ctx, at); err != nil {
			// The URL of some services has a credential in it, and their errors have the URL.
			scheme, _, _ := strings.Cut(at, "://")
			return fmt.Errorf("%w: MasterKey: there is no key management service by the %s URL: import its driver from gocloud.dev/secrets, and check the URL", ErrConfig, scheme)
		}
		r.keys, created, err = keystore.OpenKept(ctx, r.config.Data, r.master.keeper, options)
		if created {
			r.config.Logger.Info("a master key was made, which the key management service has encrypted", "file", filepath.Join(r.config.Data, keystore.KeptFile))
		}
	default:
		err = r.openFileKeys(options)
	}
	if err != nil {
		return fmt.Errorf("perdure: %w", err)
	}
	return nil
}

func (r *running) openFileKeys(options keystore.Options) (err error) {
	r.master.path = r.config.MasterKey
	if r.master.path == "" {
		if r.master.path, err = keystore.MasterPath(r.config.Data); err != nil {
			return err
		}
	}
	keys, created, err := keystore.OpenLocal(r.config.Data, r.master.path, options)
	if created {
		r.config.Logger.Warn("a master key was made: back it up, apart from the data folder, which cannot be read without it", "file", r.master.path)
	}
	r.keys = keys
	return err
}

// openEnvironmentKeys takes the key out of the environment, so that no program that the app starts gets it, and no other
// process of the same user can look it up.
func (r *running) openEnvironmentKeys(options keystore.Options) error {
	text, ok := takeEnv(r.master.variable)
	if !ok {
		return fmt.Errorf("%w: the variable %s is not set (MasterKey %q); make a key by: perdure vault master new", keystore.ErrMaster, r.master.variable, r.config.MasterKey)
	}
	if err := keystore.Undumpable(); err != nil {
		return err
	}
	master, err := keystore.ParseMaster(text)
	if err != nil {
		return fmt.Errorf("%w (the variable %s)", err, r.master.variable)
	}
	r.keys, err = keystore.Open(r.config.Data, master, options)
	return err
}

// rotateMaster changes the master key for one that is made here, and returns its id.
func (r *running) rotateMaster(ctx context.Context) (string, error) {
	switch m := r.master; {
	case r.keys == nil:
		return "", errNothingSealed
	case m.variable != "":
		return "", fmt.Errorf("the key is in the environment, which an app cannot change: make one by perdure vault master new, offer it by perdure vault master offer, and start the app with it in %s", m.variable)
	case m.keeper != nil:
		return r.keys.RotateKept(ctx, m.keeper)
	default:
		return r.keys.RotateMaster(m.path)
	}
}

// offerMaster lets a key that is given as text open the folder at the next start.
func (r *running) offerMaster(text string) (string, error) {
	if r.keys == nil || r.master.variable == "" {
		return "", errors.New("the key is not in the environment: perdure vault master rotate makes one and puts it in place")
	}
	next, err := keystore.ParseMaster(text)
	if err != nil {
		return "", err
	}
	return next.ID(), r.keys.Offer(next)
}

// masterState is what there is to know of the keys that protect what is sealed.
type masterState struct {
	// Place is "file", "environment" or "service".
	Place string `json:"place"`
	// Path is the file; empty for the others.
	Path string `json:"path,omitempty"`
	// Masters are the ids of the keys that open the folder: one, but for a change that was not finished.
	Masters []string `json:"masters"`
	// Keys are the data keys, oldest first.
	Keys []keystore.Key `json:"keys"`
}

func (r *running) showMaster(w http.ResponseWriter, _ *http.Request) {
	if r.keys == nil {
		problem.New(http.StatusNotFound, errNothingSealed.Error()).Write(w)
		return
	}
	state := masterState{Place: "file", Path: r.master.path, Masters: r.keys.MasterIDs(), Keys: r.keys.Keys()}
	switch {
	case r.master.variable != "":
		state.Place = "environment"
	case r.master.keeper != nil:
		state.Place = "service"
	}
	writeAdministration(w, state)
}

// changeMaster rotates the master key, or takes an offered one, which the body has.
func (r *running) changeMaster(w http.ResponseWriter, req *http.Request) {
	var id string
	var err error
	if strings.HasSuffix(req.URL.Path, "/offers") {
		var text []byte
		if text, err = io.ReadAll(http.MaxBytesReader(w, req.Body, maxMasterText)); err == nil {
			offered := string(text)
			_ = json.Unmarshal(text, &offered) // it may be a text in JSON as well, which a key is not by itself
			id, err = r.offerMaster(offered)
		}
	} else {
		id, err = r.rotateMaster(req.Context())
	}
	if err != nil {
		problem.New(http.StatusConflict, err.Error()).Write(w)
		return
	}
	r.config.Logger.Warn("the master key was changed: back it up, and keep the one before as long as backups of its time", "key", id)
	writeAdministration(w, map[string]string{"id": id, "path": r.master.path})
}

// maxMasterText bounds a master key as text, in bytes.
const maxMasterText = 4 << 10

// writeAdministration answers the operator.
func writeAdministration(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the caller left: nobody to tell
}
