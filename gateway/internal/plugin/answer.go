package plugin

import (
	"bytes"
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// JSON is the content type of answers.
const JSON = "application/json; charset=utf-8"

// Exit answers with a body in JSON, compact, as Kong's kong.response.exit.
func Exit(x *proxy.Exchange, status int, body any) {
	if body == nil {
		x.Answer(status, "", nil)
		return
	}
	text, err := marshal(body)
	if err != nil { // texts and maps
		panic(err)
	}
	x.Answer(status, JSON, text)
}

// marshal encodes without escaping what only matters within HTML.
func marshal(v any) ([]byte, error) {
	// Most refusals are one of these: when there are many, they should cost little.
	switch v := v.(type) {
	case Message:
		if plainText(v.Message) {
			return []byte(`{"message":"` + v.Message + `"}`), nil
		}
	case string:
		if plainText(v) {
			return []byte(`"` + v + `"`), nil
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// plainText reports whether nothing of a text is escaped in JSON.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Message is the body of most refusals.
type Message struct {
	Message string `json:"message"`
}

// Error answers with a message and the id of the request, in the form that the client accepts: JSON, HTML, XML
// or plain text, as Kong's kong.response.error. Without a message, it is that of the status.
func Error(x *proxy.Exchange, status int, message string) {
	if message == "" {
		message = statusMessage(status)
	}
	contentType, body := errorBody(accepted(string(x.Request.Fields.Peek("Accept"))), message, x.ID())
	x.Answer(status, contentType, []byte(body))
}

func errorBody(kind, message, id string) (contentType, body string) {
	switch kind {
	case "text/html":
		return "text/html; charset=utf-8", "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n" +
			"    <h1>Error</h1>\n    <p>" + html.EscapeString(message) + ".</p>\n    <p>request_id: " + id + "</p>\n  </body>\n</html>\n"
	case "application/xml":
		return "application/xml; charset=utf-8", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>" + html.EscapeString(message) +
			"</message>\n  <requestid>" + id + "</requestid>\n</error>\n"
	case "text/plain":
		return "text/plain; charset=utf-8", message + "\nrequest_id: " + id + "\n"
	}
	text, err := marshal(message)
	if err != nil { // a text
		panic(err)
	}
	return JSON, "{\n  \"message\":" + string(text) + ",\n  \"request_id\":\"" + id + "\"\n}"
}

// accepted returns the form that Accept prefers; JSON if it says nothing of those that there are.
func accepted(accept string) string {
	if accept == "" || len(accept) > 1024 {
		return ""
	}
	best, quality := "", -1.0
	for part := range strings.SplitSeq(accept, ",") {
		kind, parameters, _ := strings.Cut(part, ";")
		q := 1.0
		for p := range strings.SplitSeq(parameters, ";") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				if n, err := strconv.ParseFloat(text, 64); err == nil {
					q = n
				}
			}
		}
		kind = strings.ToLower(strings.TrimSpace(kind))
		switch kind {
		case "text/html", "application/xml", "text/plain", "application/json":
		case "*/*", "application/*":
			kind = "application/json"
		default:
			continue
		}
		if q > quality {
			best, quality = kind, q
		}
	}
	return best
}

// statusMessage is what Kong says of a status.
func statusMessage(status int) string {
	switch status {
	case http.StatusInternalServerError:
		return "An unexpected error occurred"
	case http.StatusRequestEntityTooLarge:
		return "Payload too large"
	}
	text := http.StatusText(status)
	if text == "" {
		return "The upstream server responded with " + strconv.Itoa(status)
	}
	return text[:1] + strings.ToLower(text[1:])
}

// Refuse notes why a request is refused, explain or not: the log tells it.
func Refuse(x *proxy.Exchange, who, reason string) {
	x.Notes = append(x.Notes, proxy.Note{Who: who, Reason: reason, Refusal: true})
}
