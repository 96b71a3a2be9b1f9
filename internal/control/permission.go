package control

import (
	"net/http"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/httpapi"
)

// The permissions that management needs where the app knows who sends requests.
const (
	// ReadPermission lets its holder look, but not at what is masked.
	ReadPermission = "perdure:read"
	// ManagePermission lets its holder do everything.
	ManagePermission = "perdure:manage"
)

// Reading is the policy of those who may look.
func Reading() auth.Policy {
	return auth.Any(auth.Permission(ReadPermission), auth.Permission(ManagePermission))
}

// Managing is the policy of those who may do everything.
func Managing() auth.Policy { return auth.Permission(ManagePermission) }

// Permitted lets the requests through whose principals have the permission.
func Permitted(cfg *httpapi.Config, next http.Handler) http.Handler {
	read := httpapi.NewGate(cfg, Prefix, Reading()).Handler(next)
	manage := httpapi.NewGate(cfg, Prefix, Managing()).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		looks := r.Method == http.MethodGet || r.Method == http.MethodHead
		if looks && !r.URL.Query().Has("reveal") {
			read.ServeHTTP(w, r)
			return
		}
		manage.ServeHTTP(w, r)
	})
}

// Permissions are what the app requires of those who send requests.
type Permissions struct {
	Items []Requirement `json:"items"`
	// Permissions are all that are named, with where.
	Permissions []PermissionUse `json:"permissions"`
}

// Requirement is what a function, a handler or a live endpoint requires.
type Requirement struct {
	Name string `json:"name"`
	// Kind is "http", "handler", "live" or "management".
	Kind    string `json:"kind"`
	Pattern string `json:"pattern"`
	// Policy is the policy's name, or the policy as an expression.
	Policy string `json:"policy"`
	// Expression is the policy as an expression, if it has a name.
	Expression  string   `json:"expression,omitempty"`
	Anonymous   bool     `json:"anonymous,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
}

// PermissionUse is a permission and the names of what names it.
type PermissionUse struct {
	Name   string   `json:"name"`
	UsedBy []string `json:"usedBy"`
}
