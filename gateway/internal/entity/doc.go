// Package entity has Kong's nouns: services, routes, consumers and their credentials, plugins, upstreams
// with their targets, certificates. They have the names, defaults and rules of Kong 3.x, and its Admin
// API's form as JSON.
//
// A parser builds a [Config] from values that the New functions return, which have Kong's defaults.
// [Config.Compile] gives everything its id, connects what refers to each other, and says what is wrong,
// with file and line. What has been compiled is never changed: a reload makes another.
package entity
