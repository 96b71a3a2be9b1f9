package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/auth"
)

type file struct{ Owner string }

var (
	ada = &auth.Principal{
		Subject: "ada", Issuer: "https://id.example/", Permissions: []string{"read:files"}, Scopes: []string{"files"}, Roles: []string{"editor"},
		Claims: map[string]any{
			"plan": "pro", "age": json.Number("36"), "admin": false, "groups": []any{"a", "b"}, "address": map[string]any{"city": "London", "a.b": "c"},
			"https://x.example/tier": "gold", "null": nil, "none": []any{},
		},
	}
	owns = auth.Resource("owns the file", func(_ context.Context, p *auth.Principal, f file) error {
		if f.Owner != p.Subject {
			return fmt.Errorf("the file belongs to %s", f.Owner)
		}
		return nil
	})
	weekday = auth.Func("it is a weekday", func(context.Context, *auth.Principal) error { return nil })
	never   = auth.Func("never", func(context.Context, *auth.Principal) error { return errors.New("never is never") })
	broken  = auth.Func("asks the store", func(context.Context, *auth.Principal) error {
		return fmt.Errorf("%w: the store is down", auth.ErrCannotTell)
	})
)

func TestDecide(t *testing.T) {
	t.Parallel()
	mine, others := file{"ada"}, file{"bob"}
	var zero auth.Policy
	for _, tt := range []struct {
		policy   auth.Policy
		nobody   auth.Verdict // about nobody
		verdict  auth.Verdict // about ada
		resource any
		why      string
		missing  string
	}{
		{policy: zero, nobody: auth.Allowed, verdict: auth.Allowed},
		{policy: auth.Anonymous(), nobody: auth.Allowed, verdict: auth.Allowed},
		{policy: auth.Authenticated(), verdict: auth.Allowed},
		{policy: auth.Permission(), verdict: auth.Allowed},
		{policy: auth.Permission("read:files"), verdict: auth.Allowed},
		{policy: auth.Permission("read:files", "write:files"), why: "the permission write:files is needed", missing: "permission write:files"},
		{policy: auth.Permission("a", "b"), why: "the permissions a and b are needed", missing: "permission a,permission b"},
		{policy: auth.Permission(""), why: "the permission  is needed", missing: "permission "},
		{policy: auth.Scope("files"), verdict: auth.Allowed},
		{policy: auth.Scope("read:files"), why: "the scope read:files is needed", missing: "scope read:files"},
		{policy: auth.Role("admin", "editor"), verdict: auth.Allowed},
		{policy: auth.Role("admin", "owner"), why: "the role admin or owner is needed", missing: "role admin,role owner"},
		{policy: auth.Role(), why: "no role is enough"},
		{policy: auth.Claim("plan", "pro"), verdict: auth.Allowed},
		{policy: auth.Claim("plan", "free"), why: `the claim plan must be "free"`},
		{policy: auth.Claim("age", 36), verdict: auth.Allowed},
		{policy: auth.Claim("age", "36"), why: `the claim age must be "36"`},
		{policy: auth.Claim("admin", false), verdict: auth.Allowed},
		{policy: auth.Claim("admin", true), why: "the claim admin must be true"},
		{policy: auth.Claim("groups", "b"), verdict: auth.Allowed},
		{policy: auth.Claim("groups", []string{"a", "b"}), verdict: auth.Allowed},
		{policy: auth.Claim("groups", []string{"b", "a"}), why: `the claim groups must be ["b","a"]`},
		{policy: auth.Claim("none", nil), why: "the claim none must be null"},
		{policy: auth.Claim("null", nil), verdict: auth.Allowed},
		{policy: auth.Claim("absent", nil), why: "the claim absent must be null"},
		{policy: auth.Claim("address", map[string]string{"city": "London", "a.b": "c"}), verdict: auth.Allowed},
		{policy: auth.Claim("address", struct {
			City string `json:"city"`
			AB   string `json:"a.b"`
		}{"London", "c"}), verdict: auth.Allowed},
		{policy: auth.Claim("address.city", "London"), verdict: auth.Allowed},
		{policy: auth.Claim("address.a.b", "c"), verdict: auth.Allowed},
		{policy: auth.Claim("plan.city", "London"), why: `the claim plan.city must be "London"`},
		{policy: auth.Claim("https://x.example/tier", "gold"), verdict: auth.Allowed},
		{policy: auth.Claim("plan", func() {}), why: "the claim plan must be "},
		{policy: weekday, verdict: auth.Allowed},
		{policy: never, why: "never is never"},
		{policy: broken, verdict: auth.Undecided, why: "it could not be found out: asks the store"},
		{policy: owns, resource: mine, verdict: auth.Allowed},
		{policy: owns, resource: others, why: "the file belongs to bob"},
		{policy: owns, verdict: auth.Undecided, why: "owns the file depends on a auth_test.file"},
		{policy: owns, resource: &mine, verdict: auth.Undecided, why: "and is asked about a *auth_test.file"},

		{policy: auth.All(), nobody: auth.Allowed, verdict: auth.Allowed},
		{policy: auth.Any(), why: "it is allowed to nobody"},
		{policy: auth.All(auth.Role("editor"), weekday), verdict: auth.Allowed},
		{policy: auth.All(auth.Role("x"), auth.Scope("y"), never), why: "the role x is needed, and the scope y is needed", missing: "role x,scope y"},
		{policy: auth.Any(auth.Role("x"), auth.Scope("y")), why: "the role x is needed, or the scope y is needed", missing: "role x,scope y"},
		{policy: auth.Any(auth.Role("x"), auth.Role("x")), why: "the role x is needed", missing: "role x"},
		{policy: auth.Any(auth.Role("x"), auth.Scope("files")), verdict: auth.Allowed},
		{policy: auth.Any(auth.Anonymous(), never), nobody: auth.Allowed, verdict: auth.Allowed},
		{policy: auth.All(owns, auth.Role("x")), why: "the role x is needed", missing: "role x"},
		{policy: auth.All(owns, auth.Role("editor")), verdict: auth.Undecided, why: "owns the file depends on"},
		{policy: auth.Any(owns, auth.Role("editor")), verdict: auth.Allowed},
		{policy: auth.Any(owns, auth.Role("x")), verdict: auth.Undecided, why: "owns the file depends on"},
		{policy: auth.Any(owns, auth.Role("x")), resource: others, why: "the file belongs to bob, or the role x is needed", missing: "role x"},
		{policy: auth.All(broken, auth.Role("x")), why: "the role x is needed", missing: "role x"},

		{policy: auth.Not(auth.Role("x")), verdict: auth.Allowed},
		{policy: auth.Not(auth.Role("editor")), why: "refused since this applies: role editor"},
		{policy: auth.Not(auth.Anonymous()), why: "refused since this applies: anybody"},
		{policy: auth.Not(auth.Not(auth.Role("editor"))), verdict: auth.Allowed},
		{policy: auth.Not(owns), verdict: auth.Undecided, why: "owns the file depends on"},
		{policy: auth.Not(owns), resource: others, verdict: auth.Allowed},
		{policy: auth.Not(owns), resource: 7, verdict: auth.Undecided, why: "asked about a int"}, // not allowed by a mistake
		{policy: auth.Not(broken), verdict: auth.Undecided, why: "it could not be found out"},    // nor by a failure
		{policy: auth.Not(auth.All(broken, weekday)), verdict: auth.Undecided, why: "asks the st"},
	} {
		if d := tt.policy.Decide(t.Context(), nil, tt.resource); d.Verdict != tt.nobody {
			t.Errorf("%s: nobody is %v, want %v", tt.policy, d.Verdict, tt.nobody)
		}
		d := tt.policy.Decide(t.Context(), ada, tt.resource)
		if d.Verdict != tt.verdict || !strings.Contains(d.Why(), tt.why) || (d.Why() == "") != (tt.verdict == auth.Allowed) {
			t.Errorf("%s: %v, why %q, want %v, %q", tt.policy, d.Verdict, d.Why(), tt.verdict, tt.why)
		}
		if got := strings.Join(d.Missing, ","); got != tt.missing {
			t.Errorf("%s: missing %q, want %q", tt.policy, got, tt.missing)
		}
		if failed := strings.Contains(d.Why(), "found out"); failed != errors.Is(d.Err, auth.ErrCannotTell) {
			t.Errorf("%s: err %v", tt.policy, d.Err)
		}
	}
}

// A context that ended is a failure to find out, not a denial that Not makes an allowance of.
func TestDecideWithEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	asks := auth.Func("asks", func(ctx context.Context, _ *auth.Principal) error { return fmt.Errorf("query: %w", ctx.Err()) })
	if d := auth.Not(asks).Decide(ctx, ada, nil); d.Verdict != auth.Undecided || !errors.Is(d.Err, context.Canceled) {
		t.Errorf("got %v, %v", d.Verdict, d.Err)
	}
}

// A func is not asked when the rest decides.
func TestDecideAsksNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	asked := 0
	count := auth.Func("count", func(context.Context, *auth.Principal) error { asked++; return nil })
	for _, p := range []auth.Policy{auth.All(auth.Role("x"), count), auth.Any(auth.Role("editor"), count), auth.All(auth.Role("x"), auth.Not(count))} {
		p.Decide(t.Context(), ada, nil)
		p.Decide(t.Context(), nil, nil)
	}
	count.Decide(t.Context(), nil, nil)
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

func TestPolicyText(t *testing.T) {
	t.Parallel()
	var zero auth.Policy
	admin := auth.Role("admin").Named("is an administrator")
	for _, tt := range []struct {
		policy     auth.Policy
		text, expr string
	}{
		{zero, "anybody", ""},
		{zero.Named("open"), "open", "anybody"},
		{auth.Authenticated(), "a known principal", ""},
		{auth.Permission(), "a known principal", ""},
		{auth.Role(), "nobody", ""},
		{auth.All(), "anybody", ""},
		{auth.Any(), "nobody", ""},
		{auth.Permission("a", "b"), "permission a and b", ""},
		{auth.Role("a", "b"), "role a or b", ""},
		{auth.Claim("plan", "pro"), `claim plan = "pro"`, ""},
		{weekday, "it is a weekday", ""},
		{owns, "owns the file", ""},
		{auth.Not(auth.Role("a", "b")), "not (role a or b)", ""},
		{auth.Not(auth.All(auth.Role("a"))), "not role a", ""},
		{admin, "is an administrator", "role admin"},
		{auth.Any(admin, auth.All(auth.Scope("s"), auth.Not(owns))), "is an administrator or (scope s and not owns the file)", ""},
		{auth.All(auth.Any(auth.Role("a"), auth.Role("b")).Named("n"), auth.Role("c")), "n and role c", ""},
	} {
		if tt.expr == "" {
			tt.expr = tt.text
		}
		if tt.policy.String() != tt.text || tt.policy.Expression() != tt.expr {
			t.Errorf("got %q, %q, want %q, %q", tt.policy.String(), tt.policy.Expression(), tt.text, tt.expr)
		}
	}
}

func TestPolicyNames(t *testing.T) {
	t.Parallel()
	p := auth.All(auth.Permission("b", "a"), auth.Not(auth.Any(auth.Permission("a"), auth.Role("r"), owns)), owns, auth.Scope("s"))
	types := p.ResourceTypes()
	if got := fmt.Sprint(p.Permissions(), p.Scopes(), p.Roles(), types); got != "[a b] [s] [r] [auth_test.file]" || types[0] != reflect.TypeFor[file]() {
		t.Errorf("got %s", got)
	}
	names := []string{"a"}
	q := auth.Permission(names...)
	if names[0] = "x"; q.Permissions()[0] != "a" {
		t.Error("a policy changes with the list that it was made of")
	}
}

func TestIsAnonymous(t *testing.T) {
	t.Parallel()
	for policy, want := range map[*auth.Policy]bool{
		{}: true, ptr(auth.Anonymous().Named("x")): true, ptr(auth.All()): true, ptr(auth.Any(auth.Role("x"), auth.Anonymous())): true,
		ptr(auth.Authenticated()): false, ptr(auth.Any()): false, ptr(auth.Not(auth.Role("x"))): false, ptr(auth.Not(auth.Anonymous())): false,
		ptr(weekday): false, ptr(owns): false, ptr(auth.All(auth.Anonymous(), auth.Role("x"))): false,
	} {
		if got := policy.IsAnonymous(); got != want {
			t.Errorf("%s: %v, want %v", policy, got, want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestDecisionAsJSON(t *testing.T) {
	t.Parallel()
	d := auth.Any(auth.Role("admin").Named("boss"), auth.All(auth.Scope("files"), owns)).Decide(t.Context(), ada, file{"bob"})
	const want = `{"policy":"boss or (scope files and owns the file)","verdict":"denied","missing":["role admin"],"children":[` +
		`{"policy":"boss","verdict":"denied","reason":"the role admin is needed","missing":["role admin"]},` +
		`{"policy":"scope files and owns the file","verdict":"denied","children":[{"policy":"scope files","verdict":"allowed"},` +
		`{"policy":"owns the file","verdict":"denied","reason":"the file belongs to bob"}]}]}`
	got, err := json.Marshal(d)
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	var back auth.Decision
	if err := json.Unmarshal(got, &back); err != nil || back.Verdict != d.Verdict || back.Children[1].Children[0].Verdict != auth.Allowed {
		t.Errorf("got %+v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"verdict":"maybe"}`), &back); err == nil || back.Verdict != auth.Denied {
		t.Errorf("got %v, %v", back.Verdict, err)
	}
	if got := auth.Verdict(7).String(); got != "verdict 7" {
		t.Error(got)
	}
}

// policies makes policies of any shape, about a world in which each name has its truth.
func policies(depth int) *rapid.Generator[auth.Policy] {
	names := rapid.SampledFrom([]string{"read:files", "files", "editor", "x"})
	leaf := rapid.Custom(func(t *rapid.T) auth.Policy {
		return rapid.SampledFrom([]auth.Policy{
			auth.Anonymous(), auth.Authenticated(), auth.Permission(names.Draw(t, "name")), auth.Scope(names.Draw(t, "name")),
			auth.Role(names.Draw(t, "name")), auth.Claim("plan", names.Draw(t, "name")), auth.Claim("plan", "pro"), weekday, never, owns,
		}).Draw(t, "leaf")
	})
	if depth == 0 {
		return leaf
	}
	parts := rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[auth.Policy] { return policies(depth - 1) }), 0, 3)
	return rapid.Custom(func(t *rapid.T) auth.Policy {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return auth.All(parts.Draw(t, "all")...)
		case 1:
			return auth.Any(parts.Draw(t, "any")...)
		case 2:
			return auth.Not(policies(depth-1).Draw(t, "not"))
		}
		return leaf.Draw(t, "leaf")
	})
}

// What is decided without the resource stays so with any; with it nothing is undecided; and Not, All and Any are what they
// are in logic.
func TestEarlyDecisionHolds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		p := policies(3).Draw(t, "policy")
		who := rapid.SampledFrom([]*auth.Principal{nil, {}, ada}).Draw(t, "who")
		early := p.Decide(ctx, who, nil)
		full := p.Decide(ctx, who, file{rapid.SampledFrom([]string{"ada", "bob", ""}).Draw(t, "owner")})
		if full.Verdict == auth.Undecided {
			t.Fatalf("%s is undecided with the resource: %+v", p, full)
		}
		if early.Verdict != auth.Undecided && early.Verdict != full.Verdict {
			t.Fatalf("%s is %v without the resource, and %v with it", p, early.Verdict, full.Verdict)
		}
		if (full.Why() == "") != (full.Verdict == auth.Allowed) || full.Verdict != auth.Denied && len(full.Missing) > 0 {
			t.Fatalf("%s: %v, why %q, missing %v", p, full.Verdict, full.Why(), full.Missing)
		}
		if who == nil && auth.Not(p).Decide(ctx, who, nil).Verdict != auth.Denied {
			t.Fatalf("not (%s) lets nobody in", p)
		}
		q := policies(1).Draw(t, "other")
		other := q.Decide(ctx, who, file{"ada"}).Verdict
		if rapid.Bool().Draw(t, "same resource") {
			one := p.Decide(ctx, who, file{"ada"}).Verdict
			if got := auth.All(p, q).Decide(ctx, who, file{"ada"}).Verdict; got != min(one, other) {
				t.Fatalf("all of %v and %v is %v", one, other, got)
			}
			if got := auth.Any(p, q).Decide(ctx, who, file{"ada"}).Verdict; got != max(one, other) {
				t.Fatalf("any of %v and %v is %v", one, other, got)
			}
		}
	})
}
