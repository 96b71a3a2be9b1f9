// Package load reads a gateway's configuration from files and folders, and again when they change.
//
// A folder may have Kubernetes manifests, files in Kong's format, or both: what a file is in is seen by what is in
// it. Everything together is one configuration.
package load
