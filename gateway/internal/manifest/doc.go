// Package manifest reads Kubernetes manifests as Kong's ingress controller does: Ingress, Service, Secret,
// KongPlugin, KongClusterPlugin, KongConsumer, KongUpstreamPolicy, and the annotations konghq.com/*. Older forms
// are read as well, with a warning that names today's.
//
// There is no cluster that knows where a Service leads, so a manifest has to say: by the annotation
// perdure.dev/url, by spec.externalName, by Endpoints or EndpointSlice manifests, or by a document of kind
// ServiceAddresses, which leaves the others as they are.
//
// The types are its own: those of Kubernetes and Kong bring a client of a cluster with them and init functions,
// and know no lines.
package manifest
