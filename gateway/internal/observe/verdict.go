package observe

import (
	"fmt"
	"net/http"
	"strings"
)

// statusClientLeft is that of requests that nobody waits for any more.
const statusClientLeft = 499

// verdict is the answer and its reason in one sentence.
func (r *Report) verdict(c *captured) string {
	status := r.Answer.Status
	if refuser := c.refuser(); refuser != "" {
		reason := ""
		for _, n := range c.notes {
			if n.Refusal && n.Who == refuser {
				reason = n.Reason
			}
		}
		switch {
		case r.Route == nil && status == http.StatusNotFound:
			return r.noRoute()
		case status < http.StatusBadRequest:
			return fmt.Sprintf("answered with %d by %s: %s", status, refuser, reason)
		}
		return fmt.Sprintf("refused with %d by %s: %s", status, refuser, reason)
	}
	switch {
	case status == statusClientLeft:
		return "the client left before " + r.asked() + " had answered"
	case c.err != "" && c.local && status != 0:
		return r.failed()
	case c.err != "":
		return fmt.Sprintf("answered with %d by %s, and ended early: %s", status, r.asked(), c.err)
	case r.DryRun && !c.local || status == 0:
		return "would go to " + r.asked()
	case !c.local:
		return fmt.Sprintf("answered with %d by %s", status, r.asked())
	case r.Route == nil && status == http.StatusNotFound:
		return r.noRoute()
	}
	for _, p := range r.Plugins {
		if p.Decision == Answered || p.Decision == Refused {
			return fmt.Sprintf("%s with %d by %s: %s", p.Decision, status, p.Name, strings.Join(p.Reasons, "; "))
		}
	}
	return fmt.Sprintf("answered with %d by the gateway", status)
}

// asked is the upstream in words.
func (r *Report) asked() string {
	var text string
	switch r.Upstream.Address {
	case "":
		text = "the upstream"
	case inProcess:
		text = "the app in this process"
	default:
		text = "the upstream " + r.Upstream.Address
	}
	if r.Service != nil {
		text += fmt.Sprintf(" of the service %q", r.Service.Name)
	}
	return text
}

// failed says why the gateway had to answer.
func (r *Report) failed() string {
	text := fmt.Sprintf("answered with %d by the gateway, since %s gave no answer: %s", r.Answer.Status, r.asked(), r.Upstream.Error)
	switch {
	case r.Answer.Status == http.StatusBadRequest, r.Answer.Status == http.StatusRequestEntityTooLarge: // the client's fault
		text = fmt.Sprintf("refused with %d by the gateway: %s", r.Answer.Status, r.Upstream.Error)
	case r.Upstream.Attempts == 0:
		text = fmt.Sprintf("answered with %d by the gateway, since %s could not be asked: %s", r.Answer.Status, r.asked(), r.Upstream.Error)
	case r.Upstream.Attempts > 1:
		text += fmt.Sprintf(" (the last of %d attempts)", r.Upstream.Attempts)
	}
	return text
}

// noRoute says that nothing matches, and what comes nearest.
func (r *Report) noRoute() string {
	text := fmt.Sprintf("answered with %d by the gateway: no route matches %s %s%s", r.Answer.Status, r.Request.Method, r.Request.Host, r.Request.Path)
	if len(r.Near) == 0 {
		if r.Reason != "" {
			text += ", " + r.Reason
		}
		return text
	}
	return text + nearest(&r.Near[0])
}

// nearest says which route would have been it but for what.
func nearest(n *Near) string {
	text := fmt.Sprintf("; the nearest is %q", n.Name)
	if n.Source != "" {
		text += " (" + n.Source + ")"
	}
	return text + ": " + n.Reason
}
