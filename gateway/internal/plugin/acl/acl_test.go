package acl_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/acl"
	"github.com/perdure/perdure/gateway/internal/plugin/keyauth"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

func config(settings, anonymous string) string {
	return `
routes:
- name: it
  paths: [/]
  plugins:
  - {name: acl, config: {` + settings + `}}
  - {name: key-auth, config: {` + anonymous + `}}
- {name: open, paths: [/open], plugins: [{name: acl, config: {` + settings + `}}]}
consumers:
- {username: ann, keyauth_credentials: [{key: ann}], acls: [{group: staff}, {group: admins}]}
- {username: bob, keyauth_credentials: [{key: bob}], acls: [{group: guests}]}
- {username: cat, keyauth_credentials: [{key: cat}]}
`
}

func TestGroups(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(acl.Kind(), keyauth.Kind())
	const forbidden, unauthorized = "You cannot consume this service", "Unauthorized"
	for _, tt := range []struct {
		settings, request, key string
		status                 int
		groups, message        string
	}{
		{"allow: [admins]", "/", "ann", 200, "staff, admins", ""},
		{"allow: [admins]", "/", "bob", 403, "", forbidden},
		{"allow: [admins]", "/", "cat", 403, "", forbidden},
		{"allow: [admins]", "/open", "", 401, "", unauthorized},
		{"deny: [guests]", "/", "ann", 200, "staff, admins", ""},
		{"deny: [guests]", "/", "bob", 403, "", forbidden},
		{"deny: [guests]", "/", "cat", 200, "", ""},
		{"deny: [guests]", "/open", "", 401, "", unauthorized},
		{"whitelist: [admins]", "/", "ann", 200, "staff, admins", ""},
		{"blacklist: [guests]", "/", "bob", 403, "", forbidden},
		{"allow: [admins], hide_groups_header: true", "/", "ann", 200, "", ""},
	} {
		g := plugintest.New(t, registry, config(tt.settings, ""))
		r := g.Do("GET "+tt.request, "apikey: "+tt.key, "X-Consumer-Groups: forged", "X-Authenticated-Groups: forged")
		if r.Status != tt.status || !strings.Contains(r.Body, tt.message) || len(r.Notes) == 0 {
			t.Errorf("%+v: answered %d %s %v", tt, r.Status, r.Body, r.Notes)
		}
		if r.Upstream != nil && (r.Upstream.Header.Get("X-Consumer-Groups") != tt.groups || r.Upstream.Header.Get("X-Authenticated-Groups") != "") {
			t.Errorf("%+v: the upstream sees %v", tt, r.Upstream.Header)
		}
	}
	// The anonymous consumer is in groups like any other; without any it may still log in.
	g := plugintest.New(t, registry, config("allow: [guests]", "anonymous: bob"))
	if r := g.Do("GET /"); r.Status != 200 {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
	if r := plugintest.New(t, registry, config("allow: [guests]", "anonymous: cat")).Do("GET /"); r.Status != 401 {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	registry := plugin.NewRegistry(acl.Kind(), keyauth.Kind())
	for settings, want := range map[string]string{
		"":                           "config: needs allow or deny",
		"allow: [a], deny: [b]":      "config.deny: cannot stand beside allow",
		"whitelist: [a]":             "warning: plugin \"acl\": config.whitelist: is old; today it is allow",
		"whitelist: [a], allow: [b]": "config.whitelist: is the old name of allow, which is there as well",
		"blocklist: [a]":             `config.blocklist: there is no such setting`,
	} {
		if problems := plugintest.Problems(registry, config(settings, "")); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
}
