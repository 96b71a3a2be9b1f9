package main

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/doctor"
)

const (
	// compareTimeout bounds a request to the issuer of another environment, maxCompared its answers, in bytes.
	compareTimeout = 15 * time.Second
	maxCompared    = 4 << 20
)

// otherEnvironment is that of a data folder, the URL of an issuer, or a file.
func otherEnvironment(ctx context.Context, name string) (e doctor.Environment, err error) {
	if strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://") {
		return issuerEnvironment(ctx, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return e, err
	}
	if info.IsDir() {
		return folderEnvironment(ctx, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return e, err
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, maxCompared))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, fmt.Errorf("it is not what perdure doctor --fingerprint prints: %w", err)
	}
	return e, nil
}

// folderEnvironment is that of a data folder, and of the app on it, if one runs.
func folderEnvironment(ctx context.Context, path string) (doctor.Environment, error) {
	files := doctor.Folder{Path: path}.Environment()
	provider, err := providerOf(ctx, control.NewClient(path))
	if errors.Is(err, control.ErrNoApp) {
		return files, nil
	}
	e := provider.Environment
	e.MasterKeys, e.Files = files.MasterKeys, files.Files
	return e, err
}

// issuerEnvironment is what an issuer publishes: its name and its keys.
func issuerEnvironment(ctx context.Context, issuer string) (e doctor.Environment, err error) {
	client := &http.Client{Timeout: compareTimeout}
	var discovery struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := fetch(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return e, err
	}
	var set jose.JSONWebKeySet
	if err := fetch(ctx, client, discovery.JWKS, &set); err != nil {
		return e, err
	}
	e.Issuer = discovery.Issuer
	for _, key := range set.Keys {
		print, err := key.Thumbprint(crypto.SHA256) // what the ids of Perdure's keys are
		if err != nil {
			continue // of a kind that is not known here, so it is no key of ours
		}
		e.SigningKeys = append(e.SigningKeys, base64.RawURLEncoding.EncodeToString(print))
	}
	return e, nil
}

// fetch reads JSON.
func fetch(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxCompared)).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}
