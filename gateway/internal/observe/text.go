package observe

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes the report for people at a terminal: the verdict first, then a line for each part.
func (r *Report) WriteText(w io.Writer) error {
	t := &text{}
	t.b.WriteString(printable(r.Verdict) + "\n\n")
	if r.Stale {
		t.b.WriteString("The configuration has changed since; what is said of routes and plugins may be of the new one.\n\n")
	}
	when := r.Time.Format("2006-01-02 15:04:05.000 MST")
	if r.DryRun {
		when = "nobody has sent it"
	}
	t.line("request", r.Request.Method+" "+r.Request.url()+" ("+r.Request.Protocol+"), "+when)
	t.line("id", r.ID)
	t.line("client", join(r.Client.Address, ", by the proxy ", r.Client.Proxy))
	for i, f := range r.Request.Fields {
		line := f.Name + ": " + f.Value
		if f.Added {
			line += " (added by the gateway)"
		}
		t.line(first(i, "fields"), line)
	}
	if len(r.Credentials) == 0 {
		t.line("credential", "none")
	}
	for i := range r.Credentials {
		t.credential(&r.Credentials[i], i, r.Time)
	}
	r.writeRoute(t)
	for i := range r.Plugins {
		t.plugin(&r.Plugins[i], i, r.width())
	}
	r.writeAnswer(t)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// String is the report as WriteText writes it.
func (r *Report) String() string {
	var b strings.Builder
	_ = r.WriteText(&b) // it cannot fail
	return b.String()
}

func (r *Report) writeRoute(t *text) {
	if r.Route == nil {
		t.line("route", join("none", ": ", r.Reason))
	} else {
		t.line("route", join(r.Route.Name+in(r.Route.Source), ": ", r.Reason))
	}
	for i, n := range r.Near {
		t.line(first(i, "near"), join(n.Name+in(n.Source), ": ", n.Reason))
	}
	if r.Service != nil {
		t.line("service", r.Service.Name+in(r.Service.Source)+": "+r.Service.URL)
	}
}

func (r *Report) writeAnswer(t *text) {
	switch c := r.Consumer; {
	case c == nil:
		t.line("consumer", "nobody is known")
	case c.Name == "":
		t.line("consumer", "none, by the credential "+c.Credential)
	case c.Credential == "":
		t.line("consumer", c.Name+in(c.Source)+", as who has no credential")
	default:
		t.line("consumer", c.Name+in(c.Source)+", by the credential "+c.Credential)
	}
	for i, n := range r.Notes {
		t.line(first(i, "notes"), n)
	}
	u := &r.Upstream
	switch {
	case u.Address == "" && u.Error == "":
		t.line("upstream", "not asked")
	case u.Address == "":
		t.line("upstream", u.Error)
	default:
		attempts := ""
		if u.Attempts > 1 {
			attempts = fmt.Sprintf(", %d attempts", u.Attempts)
		}
		t.line("upstream", join(join(u.Address, " for ", u.Host+u.Path)+attempts, ": ", u.Error))
	}
	if r.Answer.Status != 0 {
		t.line("answer", fmt.Sprintf("%d by the %s, %d bytes, after %.1f ms", r.Answer.Status, r.Answer.By, r.Answer.Bytes, r.Timings.Total))
	}
	if r.Timings.Upstream > 0 {
		t.line("times", fmt.Sprintf("plugins %.1f ms, upstream %.1f ms", r.Timings.Plugins, r.Timings.Upstream))
	}
}

// width is that of the longest name of a plugin.
func (r *Report) width() (n int) {
	for _, p := range r.Plugins {
		n = max(n, len(p.Name))
	}
	return n
}

func (q *Request) url() string { return q.Scheme + "://" + q.Host + join(q.Path, "?", q.Query) }

// text writes aligned lines.
type text struct{ b strings.Builder }

// label is how wide the first column is.
const label = 12

// line writes a line with a name, which may be empty. What came from outside cannot begin another line, nor command a terminal.
func (t *text) line(name, value string) {
	fmt.Fprintf(&t.b, "%-*s%s\n", label, name, printable(value))
}

func (t *text) credential(c *Credential, i int, now time.Time) {
	t.line(first(i, "credential"), join(c.In, ": ", c.Scheme)+fmt.Sprintf(", %d bytes, digest %s", c.Length, c.Digest))
	k := c.Token
	if k == nil {
		return
	}
	if k.Unreadable != "" {
		t.line("", "  "+k.Unreadable)
		return
	}
	var parts []string
	for _, p := range [][2]string{{"alg", k.Algorithm}, {"kid", k.KeyID}, {"iss", k.Issuer}, {"aud", strings.Join(k.Audience, ", ")}, {"azp", k.Party}, {"scope", k.Scope}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if k.Expires != nil {
		parts = append(parts, "exp "+relative(*k.Expires, now))
	}
	if k.NotBefore != nil {
		parts = append(parts, "nbf "+relative(*k.NotBefore, now))
	}
	t.line("", "  "+strings.Join(parts, "; "))
}

// relative is a time, and how far it was from the request.
func relative(at, now time.Time) string {
	text := at.Format(time.RFC3339)
	if d := at.Sub(now).Round(time.Second); d <= 0 {
		return text + " (" + (-d).String() + " before)"
	} else {
		return text + " (" + d.String() + " after)"
	}
}

func (t *text) plugin(p *Plugin, i, width int) {
	value := fmt.Sprintf("%-*s  %-12s", width, p.Name, p.Decision)
	if len(p.Reasons) > 0 {
		value += "  " + strings.Join(p.Reasons, "; ")
	}
	t.line(first(i, "plugins"), strings.TrimRight(value, " "))
}

func first(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

// in says where something is configured.
func in(source string) string {
	if source == "" {
		return ""
	}
	return " (" + source + ")"
}

// join puts a separator between two texts, if there is a second.
func join(a, between, b string) string {
	if b == "" {
		return a
	}
	return a + between + b
}

// printable replaces what is no character that can be seen.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}
