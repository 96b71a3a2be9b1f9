// Package managed gives tokens to workloads that keep no secret of their own.
//
// On this machine they ask a loopback endpoint in the protocol of Azure App Service, by a header that each
// workload was handed and that is good for its Unix user alone. Elsewhere, and with secrets or keys, they ask the
// token endpoint under the paths of an Entra tenant. So the clients of package azidentity work as they are.
package managed
