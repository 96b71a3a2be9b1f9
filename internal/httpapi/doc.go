// Package httpapi serves functions over HTTP. A request becomes one unit of work:
// what it says fills In, the function runs, Out is written, the unit commits, and
// only then is the answer sent. It also writes the OpenAPI document of the
// functions and guards the server against what other web pages make a browser
// send.
package httpapi
