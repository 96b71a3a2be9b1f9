package kong_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kong/go-kong/kong"
)

// exempt are the services of the client that a gateway like this has nothing for, each with its reason.
var exempt = map[string]string{
	"Admins":                             "Kong Enterprise",
	"Developers":                         "Kong Enterprise",
	"DeveloperRoles":                     "Kong Enterprise",
	"DegraphqlRoutes":                    "Kong Enterprise",
	"GraphqlRateLimitingCostDecorations": "Kong Enterprise",
	"KonnectApplication":                 "Kong's cloud",
	"Licenses":                           "Kong Enterprise",
	"RBACEndpointPermissions":            "Kong Enterprise",
	"RBACEntityPermissions":              "Kong Enterprise",
	"RBACRoles":                          "Kong Enterprise",
	"RBACUsers":                          "Kong Enterprise",
	"Workspaces":                         "Kong Enterprise",
	"CustomEntities":                     "entities that plugins of Kong Enterprise bring with them",
}

// arguments are the texts that methods are called with, and how many entities that finds; -1 is an answer that is none.
var arguments = map[string]struct {
	texts []string
	found int
}{
	"ACLs.Get": {[]string{"alice", "$acl"}, -1}, "ACLs.List": {nil, 2}, "ACLs.ListForConsumer": {[]string{"alice"}, 2},
	"BasicAuths.List": {}, "BasicAuths.ListForConsumer": {[]string{"alice"}, 0}, "BasicAuths.Get": {[]string{"alice", "none"}, 0},
	"CACertificates.Get": {[]string{authorityID}, -1}, "CACertificates.List": {nil, 1},
	"Certificates.Get": {[]string{"weather.example.com"}, -1}, "Certificates.List": {nil, 1},
	"ConsumerGroups.Get": {[]string{"none"}, 0}, "ConsumerGroups.GetWithNoConsumers": {[]string{"none"}, 0}, "ConsumerGroups.List": {},
	"ConsumerGroupConsumers.ListAll": {[]string{"none"}, 0},
	"Consumers.Get":                  {[]string{"alice"}, -1}, "Consumers.GetByCustomID": {[]string{"u-1"}, -1}, "Consumers.List": {nil, 2},
	"FilterChains.Get": {[]string{"none"}, 0}, "FilterChains.List": {}, "FilterChains.ListAllForService": {[]string{"weather"}, 0}, "FilterChains.ListAllForRoute": {[]string{"secure"}, 0},
	"HMACAuths.Get": {[]string{"alice", "none"}, 0}, "HMACAuths.List": {}, "HMACAuths.ListForConsumer": {[]string{"alice"}, 0},
	"Info.Get":     {nil, -1},
	"JWTAuths.Get": {[]string{"alice", "issuer"}, -1}, "JWTAuths.List": {nil, 1}, "JWTAuths.ListForConsumer": {[]string{"alice"}, 1},
	"KeyAuths.Get": {[]string{"alice", "key-secret"}, -1}, "KeyAuths.List": {nil, 2}, "KeyAuths.ListForConsumer": {[]string{"bob"}, 1},
	"Keys.Get": {[]string{"none"}, 0}, "Keys.List": {}, "KeySets.Get": {[]string{"none"}, 0}, "KeySets.List": {},
	"MTLSAuths.Get": {[]string{"alice", "none"}, 0}, "MTLSAuths.List": {}, "MTLSAuths.ListForConsumer": {[]string{"alice"}, 0},
	"Oauth2Credentials.Get": {[]string{"alice", "none"}, 0}, "Oauth2Credentials.List": {}, "Oauth2Credentials.ListForConsumer": {[]string{"alice"}, 0},
	"Plugins.Get": {[]string{"few"}, -1}, "Plugins.List": {nil, 9}, "Plugins.ListAllForConsumer": {[]string{"alice"}, 1}, "Plugins.ListAllForService": {[]string{"weather"}, 1},
	"Plugins.ListAllForRoute": {[]string{"secure"}, 3}, "Plugins.ListAllForConsumerGroups": {[]string{"none"}, 0},
	"Plugins.GetSchema": {[]string{"jwt"}, -1}, "Plugins.GetFullSchema": {[]string{"jwt"}, -1},
	"Routes.Get": {[]string{"secure"}, -1}, "Routes.List": {nil, 2}, "Routes.ListForService": {[]string{"weather"}, 2},
	"Schemas.Get":  {[]string{"services"}, -1},
	"Services.Get": {[]string{"weather"}, -1}, "Services.GetForRoute": {[]string{"secure"}, -1}, "Services.List": {nil, 2},
	"SNIs.Get": {[]string{"weather.example.com"}, -1}, "SNIs.List": {nil, 1}, "SNIs.ListForCertificate": {[]string{certificateID}, 1},
	"Tags.Exists":  {nil, -1},
	"Targets.List": {[]string{"weather.internal"}, 3}, "UpstreamNodeHealth.List": {[]string{"weather.internal"}, 3},
	"Upstreams.Get": {[]string{"weather.internal"}, -1}, "Upstreams.List": {nil, 1},
	"Vaults.Get": {[]string{"none"}, 0}, "Vaults.List": {},
}

// ListAll finds what List does.
func argumentsOf(name string) (texts []string, found int, known bool) {
	a, known := arguments[name]
	if service, all := strings.CutSuffix(name, ".ListAll"); !known && all {
		a, known = arguments[service+".List"]
	}
	return a.texts, a.found, known
}

// TestReadingSurface calls each method of the client that reads.
func TestReadingSurface(t *testing.T) {
	t.Parallel()
	client := open(t, true, declaration(t))
	groups, err := client.ACLs.ListAll(t.Context())
	must(t, err)
	v := reflect.ValueOf(client).Elem()
	called := map[string]bool{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Type.Kind() != reflect.Interface || field.Type.PkgPath() != reflect.TypeFor[kong.Client]().PkgPath() {
			continue
		}
		if exempt[field.Name] != "" {
			called[field.Name] = true
			continue
		}
		for j := range field.Type.NumMethod() {
			method := field.Type.Method(j)
			name := field.Name + "." + method.Name
			if !strings.HasPrefix(method.Name, "Get") && !strings.HasPrefix(method.Name, "List") && method.Name != "Exists" {
				continue
			}
			texts, want, known := argumentsOf(name)
			if !known {
				t.Errorf("%s is not tried", name)
				continue
			}
			called[name] = true
			got, err := call(t, v.Field(i).MethodByName(method.Name), slices.Clone(texts), *groups[0].ID)
			switch {
			case want == 0 && slices.Contains(texts, "none"): // there is none
				if !kong.IsNotFoundErr(err) && err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case want >= 0 && got.Len() != want:
				t.Errorf("%s: %d entities, want %d", name, got.Len(), want)
			case want < 0 && got.IsZero():
				t.Errorf("%s found nothing", name)
			}
		}
	}
	for name := range arguments {
		if !called[name] {
			t.Errorf("there is no %s", name)
		}
	}
	for name := range exempt {
		if !called[name] {
			t.Errorf("there is no service %s to be exempt", name)
		}
	}
}

// call calls a method, page by page if it has pages of one entity each.
func call(t *testing.T, method reflect.Value, texts []string, group string) (reflect.Value, error) {
	var all reflect.Value
	option := &kong.ListOpt{Size: 1}
	for {
		rest := slices.Clone(texts)
		var in []reflect.Value
		for i := range method.Type().NumIn() {
			switch of := method.Type().In(i); of {
			case reflect.TypeFor[context.Context]():
				in = append(in, reflect.ValueOf(t.Context()))
			case reflect.TypeFor[*kong.ListOpt]():
				in = append(in, reflect.ValueOf(option))
			case reflect.TypeFor[*string](), reflect.TypeFor[string]():
				text := rest[0]
				rest = rest[1:]
				if text == "$acl" {
					text = group
				}
				if of.Kind() == reflect.String {
					in = append(in, reflect.ValueOf(text))
				} else {
					in = append(in, reflect.ValueOf(&text))
				}
			default:
				t.Fatalf("an argument is %s", of)
			}
		}
		out := method.Call(in)
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return reflect.Value{}, err
		}
		if len(out) != 3 {
			return out[0], nil
		}
		if all = reflect.AppendSlice(growing(all, out[0].Type()), out[0]); out[1].IsNil() {
			return all, nil
		}
		option = out[1].Interface().(*kong.ListOpt)
	}
}

func growing(v reflect.Value, of reflect.Type) reflect.Value {
	if v.IsValid() {
		return v
	}
	return reflect.MakeSlice(of, 0, 8)
}

// What is not for every list: the node, tags, refusals.
func TestNode(t *testing.T) {
	t.Parallel()
	client, ctx := open(t, false, declaration(t)), t.Context()
	info, err := client.Info.Get(ctx)
	must(t, err)
	if info.Version != "3.9.0" || !info.Configuration.IsInMemory() || info.Configuration.IsRBACEnabled() {
		t.Errorf("the node is %+v", info)
	}
	status, err := client.Status(ctx)
	must(t, err)
	if !status.Database.Reachable || status.ConfigurationHash == "" {
		t.Errorf("the status is %+v", status)
	}
	_, _, err = client.Listeners(ctx)
	must(t, err)
	dump, err := client.Config(ctx)
	must(t, err)
	if !strings.Contains(string(dump), `"_format_version": "3.0"`) {
		t.Errorf("the configuration is %.80s", dump)
	}

	for _, c := range []struct {
		all  bool
		want int
	}{{true, 1}, {false, 2}} {
		found, _, err := client.Routes.List(ctx, &kong.ListOpt{Tags: kong.StringSlice("public", "weather"), MatchAllTags: c.all})
		must(t, err)
		if c.all { // one service has both, no route has
			services, _, err := client.Services.List(ctx, &kong.ListOpt{Tags: kong.StringSlice("public", "weather"), MatchAllTags: true})
			must(t, err)
			if len(services) != c.want || len(found) != 0 {
				t.Errorf("%d services and %d routes have both tags", len(services), len(found))
			}
		} else if len(found) != c.want {
			t.Errorf("%d routes have one of the tags", len(found))
		}
	}

	_, err = client.Services.Get(ctx, kong.String("nothing"))
	if !kong.IsNotFoundErr(err) {
		t.Errorf("a service that is not there: %v", err)
	}
	_, err = client.Services.Create(ctx, &kong.Service{Name: kong.String("new"), Host: kong.String("new.example.com")})
	if refused := new(kong.APIError); err == nil || !errors.As(err, &refused) || refused.Code() != 405 ||
		!strings.Contains(fmt.Sprint(err), "cannot create 'services' entities when not using a database") {
		t.Errorf("a new service: %v", err)
	}
	keys, err := client.KeyAuths.ListAll(ctx)
	must(t, err)
	for _, k := range keys {
		if *k.Key != "{redacted:"+*k.ID+"}" {
			t.Errorf("a key is shown: %q", *k.Key)
		}
	}
}
