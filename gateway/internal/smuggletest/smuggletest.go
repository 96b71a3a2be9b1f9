// Package smuggletest is a corpus of requests that hide another one: what one server takes for the end of a message, another does not.
// It is for tests of each layer of the gateway.
package smuggletest

import "strings"

// Smuggled is what a request smuggled behind another would ask for.
const Smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

// Case is a request that must not pass.
type Case struct {
	Name string
	// Request has the smuggled one in it, or behind it.
	Request string
	// Status is what it must be answered.
	Status int
}

func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

func post(fields ...string) string {
	return lines(append([]string{"POST /x HTTP/1.1", "Host: a"}, fields...)...)
}

const chunked = "Transfer-Encoding: chunked"

// Heads are requests whose heads break the rules: nothing of them may reach an upstream.
func Heads() []Case {
	return []Case{
		{"CL.TE", post("Content-Length: 6", chunked) + "0\r\n\r\nG" + Smuggled, 400},
		{"TE.CL", post(chunked, "Content-Length: 4") + "2e\r\n" + Smuggled + "\r\n0\r\n\r\n", 400},
		{"CL.0", post("Content-Length: 0", chunked) + "0\r\n\r\n" + Smuggled, 400},
		{"CL.CL", post("Content-Length: 0", "Content-Length: 37") + Smuggled, 400},
		{"CL.CL with equal values", post("Content-Length: 0", "Content-Length: 0") + Smuggled, 400},
		{"CL as a list", post("Content-Length: 0, 0") + Smuggled, 400},
		{"CL with a sign", post("Content-Length: +0") + Smuggled, 400},
		{"CL with a space before the colon", post("Content-Length : 37") + Smuggled, 400},
		{"CL with 0x", post("Content-Length: 0x25") + Smuggled, 400},
		{"CL that overflows", post("Content-Length: 18446744073709551616") + Smuggled, 400},
		{"CL with a NUL", post("Content-Length: 0\x00") + Smuggled, 400},
		{"TE.TE with x", post(chunked, "Transfer-Encoding: x") + "0\r\n\r\n" + Smuggled, 400},
		{"TE.TE with identity", post("Transfer-Encoding: identity", chunked) + "0\r\n\r\n" + Smuggled, 400},
		{"TE.TE twice chunked", post(chunked, chunked) + "0\r\n\r\n" + Smuggled, 400},
		{"TE in another case and CL", post("transfer-encoding: CHUNKED", "content-length: 6") + "0\r\n\r\nG" + Smuggled, 400},
		{"TE with a space before the colon", post("Transfer-Encoding : chunked") + "0\r\n\r\n" + Smuggled, 400},
		{"TE with a tab before the value", post("Transfer-Encoding:\tchunked", "Content-Length: 6") + "0\r\n\r\nG" + Smuggled, 400},
		{"TE with a vertical tab", post("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n" + Smuggled, 400},
		{"TE with a CR", post("Transfer-Encoding: chunked\r") + "0\r\n\r\n" + Smuggled, 400},
		{"TE after a bare LF", post("X: y\nTransfer-Encoding: chunked") + "0\r\n\r\n" + Smuggled, 400},
		{"TE after a bare CR", post("X: y\rTransfer-Encoding: chunked", "Content-Length: 6") + "0\r\n\r\nG" + Smuggled, 400},
		{"TE folded", post("Transfer-Encoding:", " chunked") + "0\r\n\r\n" + Smuggled, 400},
		{"TE in a folded line", post("X: y", " Transfer-Encoding: chunked") + "0\r\n\r\n" + Smuggled, 400},
		{"TE before the host", lines("POST /x HTTP/1.1", " Transfer-Encoding: chunked", "Host: a") + "0\r\n\r\n" + Smuggled, 400},
		{"TE with a list", post("Transfer-Encoding: x, chunked") + "0\r\n\r\n" + Smuggled, 501},
		{"TE with chunked in the middle", post("Transfer-Encoding: chunked, x") + "0\r\n\r\n" + Smuggled, 400},
		{"TE with quotes", post(`Transfer-Encoding: "chunked"`) + "0\r\n\r\n" + Smuggled, 400},
		{"TE with a suffix", post("Transfer-Encoding: chunkedx") + "0\r\n\r\n" + Smuggled, 400},
		{"TE in HTTP/1.0", lines("POST /x HTTP/1.0", "Host: a", "Connection: keep-alive", chunked) + "0\r\n\r\n" + Smuggled, 400},
		{"TE named by Connection and CL", post("Connection: transfer-encoding", chunked, "Content-Length: 6") + "0\r\n\r\nG" + Smuggled, 400},
		{"two Hosts", lines("POST /x HTTP/1.1", "Host: a", "Host: b") + Smuggled, 400},
		{"no Host", lines("POST /x HTTP/1.1") + Smuggled, 400},
		{"Host with a space before the colon", lines("POST /x HTTP/1.1", "Host : a") + Smuggled, 400},
		{"Host with a path", lines("POST /x HTTP/1.1", "Host: a/../b") + Smuggled, 400},
		{"Host with a control", lines("POST /x HTTP/1.1", "Host: a\x01") + Smuggled, 400},
		{"bare LF", "POST /x HTTP/1.1\nHost: a\n\n" + Smuggled, 400},
		{"request line of HTTP/0.9", "GET /x\r\n" + Smuggled, 400},
		{"two versions", lines("GET /x HTTP/1.1 HTTP/1.1", "Host: a") + Smuggled, 400},
		{"space in the target", lines("GET /x HTTP/1.1\tHTTP/1.1", "Host: a") + Smuggled, 400},
		{"line break in the method", "GE\r\nT /x HTTP/1.1\r\nHost: a\r\n\r\n" + Smuggled, 400},
		{"other version", lines("GET /x HTTP/1.9", "Host: a") + Smuggled, 505},
		{"CONNECT", lines("CONNECT b:443 HTTP/1.1", "Host: b:443") + Smuggled, 405},
		{"unknown expectation", post("Expect: 100-continue, x", "Content-Length: 1") + Smuggled, 417},
		{"field without a colon", lines("GET /x HTTP/1.1", "Host: a", "X") + Smuggled, 400},
		{"field without a name", lines("GET /x HTTP/1.1", "Host: a", ": X") + Smuggled, 400},
		{"absolute target with another host in userinfo", lines("GET http://a@b/ HTTP/1.1", "Host: a") + Smuggled, 400},
	}
}

// Bodies are chunked requests whose bodies break the rules: an upstream may not see their end. They are answered 400.
func Bodies() []Case {
	head := post(chunked)
	cases := []Case{
		{Name: "size that overflows", Request: "10000000000000005\r\nhello\r\n0\r\n\r\n"},
		{Name: "size with a sign", Request: "+5\r\nhello\r\n0\r\n\r\n"},
		{Name: "bare LF after the size", Request: "5\nhello\r\n0\r\n\r\n"},
		{Name: "bare LF after the data", Request: "5\r\nhello\n0\r\n\r\n"},
		{Name: "data longer than its size", Request: "5\r\nhelloo\r\n0\r\n\r\n"},
		{Name: "bare LF at the end", Request: "5\r\nhello\r\n0\r\n\n"},
		{Name: "folded trailer", Request: "0\r\nX: y\r\n Z: z\r\n\r\n"},
		{Name: "extension with a bare LF", Request: "5;a\nb\r\nhello\r\n0\r\n\r\n"},
	}
	for i := range cases {
		cases[i].Request, cases[i].Status = head+cases[i].Request+Smuggled, 400
	}
	return cases
}
