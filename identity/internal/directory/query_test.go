package directory_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

var ann = &directory.User{
	ID: "perdure|A1", Connection: "db", Email: "Ann@example.org", EmailVerified: true, Name: "Ann Lee", Nickname: "al", Username: "annlee",
	CreatedAt: time.Date(2026, 3, 15, 10, 0, 0, 5, time.UTC), LoginsCount: 7,
	Identities: []directory.Identity{{Connection: "db", Provider: "perdure", UserID: "A1"}, {Connection: "google", Provider: "oidc", UserID: "77"}},
	AppMetadata: map[string]any{
		"plan": "Gold", "seats": 12.0, "beta": true, "tags": []any{"red", "blue"}, "org": map[string]any{"name": "ACME (EU)"},
	},
}

func TestQuery(t *testing.T) {
	t.Parallel()
	for q, want := range map[string]bool{
		`email:"ann@example.org"`:              true,
		`email:ann@example.org`:                true,
		`email:bob@example.org`:                false,
		`user_id:"perdure|A1"`:                 true,
		`user_id:perdure|a1`:                   false,
		`user_id:perdure*`:                     true,
		`name:ann*`:                            true,
		`name:*lee`:                            true,
		`name:*nn*`:                            true,
		`name:lee`:                             false,
		`name:"ann lee"`:                       true,
		`name:"ann*"`:                          false,
		`name:ann\ lee`:                        true,
		`ann`:                                  true,
		`carl`:                                 false,
		`email_verified:true`:                  true,
		`blocked:true`:                         false,
		`NOT blocked:true`:                     true,
		`!blocked:true && email_verified:true`: true,
		`blocked:true OR email_verified:true`:  true,
		`blocked:true OR name:x OR name:ann*`:  true,
		`blocked:true AND email_verified:true OR name:a*`:  true,
		`blocked:true AND (email_verified:true OR name:a)`: false,
		`NOT (blocked:true OR name:x*)`:                    true,
		`app_metadata.plan:gold`:                           true,
		`app_metadata.plan:(silver OR gold)`:               true,
		`app_metadata.plan:(silver OR NOT gold)`:           false,
		`app_metadata.seats:12`:                            true,
		`app_metadata.seats:[10 TO 12}`:                    false,
		`app_metadata.seats:[10 TO 12]`:                    true,
		`app_metadata.seats:{12 TO *]`:                     false,
		`app_metadata.beta:true`:                           true,
		`app_metadata.tags:blue`:                           true,
		`app_metadata.tags:green`:                          false,
		`app_metadata.org.name:"acme (eu)"`:                true,
		`app_metadata.org.name.x:1`:                        false,
		`identities.connection:"google"`:                   true,
		`identities.user_id:77`:                            true,
		`identities.connection:github`:                     false,
		`_exists_:app_metadata.plan`:                       true,
		`_exists_:app_metadata.none`:                       false,
		`_exists_:picture`:                                 false,
		`NOT _exists_:picture`:                             true,
		`username:*`:                                       true,
		`created_at:[2026-03-15 TO 2026-03-15]`:            true,
		`created_at:[2026-03-15 TO 2026-03-15}`:            false,
		`created_at:{2026-03-15 TO *]`:                     false,
		`created_at:[* TO 2026-03-14]`:                     false,
		`created_at:[2026-03-15T10:00:00Z TO *]`:           true,
		`created_at:2026-03`:                               true,
		`last_login:[2000 TO *]`:                           false,
		`logins_count:7`:                                   true,
		`logins_count:[* TO 6]`:                            false,
	} {
		parsed, err := directory.ParseQuery(q)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		if got := parsed.Match(ann); got != want {
			t.Errorf("%s = %v, want %v", q, got, want)
		}
	}
}

func TestQueryFaults(t *testing.T) {
	t.Parallel()
	for q, want := range map[string]string{
		`name:`:                            "value is missing",
		`name:"ann`:                        "does not end",
		`name:ann email:x`:                 "AND or OR is missing",
		`(name:ann`:                        `")" is missing`,
		`name:ann)`:                        "not expected",
		`nmae:ann`:                         "no field",
		`created_at:[a b]`:                 "TO is missing",
		`created_at:[a TO b`:               "does not end",
		`name:a*b`:                         "beginning and at the end",
		`name:ann AND`:                     "value is missing",
		``:                                 "value is missing",
		`name:a\`:                          "behind the backslash",
		`*`:                                "field is missing",
		`_exists_:nope`:                    "no field",
		strings.Repeat("(", 50) + "name:a": "nested deeper",
		strings.Repeat("!", 50) + "name:a": "nested deeper",
		strings.Repeat("a OR ", 150) + "a": "more than 100",
		strings.Repeat("a", 2001):          "at most 2000",
		"app_metadata" + strings.Repeat(".a", 30) + ":1": "nested deeper",
	} {
		_, err := directory.ParseQuery(q)
		if !errors.Is(err, directory.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", q, err, want)
		}
	}
}

func TestQueryFindsUsers(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for _, name := range []string{"ann", "bob", "carl", "dora"} {
		w.NewUser(t, name+"@example.org")
		w.Clock.Advance(time.Hour)
	}
	for q, want := range map[string]string{
		``:                              "ann bob carl dora",
		`email:BOB@example.org`:         "bob",
		`email:bob@example.org AND ann`: "",
		`email:*@example.org AND NOT (bob OR carl)`: "ann dora",
		`user_id:"perdure|none"`:                    "",
		`created_at:[* TO 2026-01-02T04:04]`:        "ann bob",
	} {
		w.Do(t, func(ctx context.Context) error {
			l, err := w.ListUsers(ctx, directory.UserFilter{Q: q})
			if err != nil {
				return err
			}
			names := []string{}
			for _, u := range l.Items {
				name, _, _ := strings.Cut(u.Email, "@")
				names = append(names, name)
			}
			if got := strings.Join(names, " "); got != want || l.Total != len(names) {
				t.Errorf("%s: %q of %d, want %q", q, got, l.Total, want)
			}
			return nil
		})
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{`email:"a@b"`, `NOT (a OR name:b*) AND created_at:[2026 TO *}`, `app_metadata.a.b:(x OR "y")`, `_exists_:name`, `name:\`, `!(`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := directory.ParseQuery(s)
		if err != nil {
			if !errors.Is(err, directory.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		q.Match(ann)
		q.Match(&directory.User{})
	})
}
