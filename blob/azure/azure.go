// Package azure lets an app keep its blobs in Azure Blob Storage. It is imported for
// its effect alone:
//
//	import _ "github.com/perdure/perdure/blob/azure"
//
//	perdure.Config{Blobs: "azblob://container?storage_account=name"}
//
// The URL's parameters are those of the Go Cloud Development Kit's azureblob, such as
// storage_account, domain and localemu, and prefix: what the keys of all objects begin
// with, such as "app/". Two apps that share a container need different ones.
//
// Credentials come from the environment: AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN,
// AZURE_STORAGE_CONNECTION_STRING, or those of the Azure SDK (a managed identity, a
// workload identity, the Azure CLI). Links to read are served by the app.
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/cloud"
)

func init() { blobstore.Register(azureblob.Scheme, open) }

// open opens the container that a URL names. What breaks off leaves blocks that Azure
// removes by itself, after a week.
func open(ctx context.Context, u *url.URL, opts blobstore.Options) (blobstore.Driver, error) {
	if u.Query().Has("key") {
		return nil, errors.New("blobstore: azblob: a container of one object (key) cannot hold blobs")
	}
	opened, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("blobstore: azblob: container %q: %w", u.Host, err)
	}
	return cloud.New(ctx, opened, cloud.Options{Owner: opts.Owner})
}
