// Package gateway proxies requests as the declarative files of Kong and of Kubernetes say: which requests go where, who may send
// them, how often. Tokens and limits are enforced in front of any service, and each answer can be explained.
//
// An app has a gateway by perdure.Config.Gateway; "perdure gateway run" is one alone. The files are checked, compiled and swapped
// as a whole: a request is served by one configuration from its beginning to its end.
//
// Plugins with Kong's names, settings and answers are there: acl, canary, correlation-id, cors, ip-restriction, jwt, key-auth,
// mtls-auth, openid-connect (bearer tokens), prometheus, rate-limiting, request-size-limiting, request-termination,
// request-transformer, response-transformer. A program adds its own by Config.Plugins.
package gateway
