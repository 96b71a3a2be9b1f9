// Package all has the plugins that there are.
package all

import (
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/acl"
	"github.com/perdure/perdure/gateway/internal/plugin/canary"
	"github.com/perdure/perdure/gateway/internal/plugin/correlation"
	"github.com/perdure/perdure/gateway/internal/plugin/cors"
	"github.com/perdure/perdure/gateway/internal/plugin/iprestriction"
	"github.com/perdure/perdure/gateway/internal/plugin/jwt"
	"github.com/perdure/perdure/gateway/internal/plugin/keyauth"
	"github.com/perdure/perdure/gateway/internal/plugin/metrics"
	"github.com/perdure/perdure/gateway/internal/plugin/mtlsauth"
	"github.com/perdure/perdure/gateway/internal/plugin/oidc"
	"github.com/perdure/perdure/gateway/internal/plugin/ratelimit"
	"github.com/perdure/perdure/gateway/internal/plugin/sizelimit"
	"github.com/perdure/perdure/gateway/internal/plugin/terminate"
	"github.com/perdure/perdure/gateway/internal/plugin/transform"
)

// Registry returns a registry of all plugins. Others can be registered with it.
func Registry() *plugin.Registry {
	return plugin.NewRegistry(
		acl.Kind(), canary.Kind(), correlation.Kind(), cors.Kind(), iprestriction.Kind(), jwt.Kind(), keyauth.Kind(), metrics.Kind(), mtlsauth.Kind(), oidc.Kind(),
		ratelimit.Kind(), sizelimit.Kind(), terminate.Kind(), transform.Request(), transform.Response(),
	)
}
