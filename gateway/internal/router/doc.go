// Package router finds the route of a request, in the order of Kong's "traditional_compatible" router: of the
// routes that match, the one with the most attributes; then one with plain hosts alone; with more headers;
// with a regular expression as path; with the higher regex_priority; with the longer path; the older one; the
// one that stands first.
//
// Routes are compiled once: hosts are found by hash, paths by a tree of their characters (regular expressions
// by what they begin with), so that a match costs the same among ten routes and among ten thousand, and
// allocates nothing.
package router
