// Package transform is Kong's plugins request-transformer and response-transformer: header fields, and of requests
// the query and the path as well, are removed, renamed, replaced, added and appended to, in this order.
package transform
