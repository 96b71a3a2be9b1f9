package directory

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of values in a query.
const (
	valueWord = iota
	valueAny
	valueRange
)

// queryValue is what a query compares a field with.
type queryValue struct {
	kind             int
	text             string
	anyStart, anyEnd bool
	from, to         string // "" is open
	withFrom, withTo bool
}

// queryFields are the fields of users that a query knows, with how to find their values.
var queryFields = map[string]func(*User) any{
	"user_id":        func(u *User) any { return u.ID },
	"connection":     func(u *User) any { return u.Connection },
	"email":          func(u *User) any { return u.Email },
	"email.raw":      func(u *User) any { return u.Email },
	"email_verified": func(u *User) any { return u.EmailVerified },
	"username":       func(u *User) any { return u.Username },
	"name":           func(u *User) any { return u.Name },
	"given_name":     func(u *User) any { return u.GivenName },
	"family_name":    func(u *User) any { return u.FamilyName },
	"nickname":       func(u *User) any { return u.Nickname },
	"picture":        func(u *User) any { return u.Picture },
	"phone_number":   func(u *User) any { return u.PhoneNumber },
	"phone_verified": func(u *User) any { return u.PhoneVerified },
	"blocked":        func(u *User) any { return u.Blocked },
	"created_at":     func(u *User) any { return u.CreatedAt },
	"updated_at":     func(u *User) any { return u.UpdatedAt },
	"last_login":     func(u *User) any { return u.LastLogin },
	"last_ip":        func(u *User) any { return u.LastIP },
	"logins_count":   func(u *User) any { return float64(u.LoginsCount) },
	"multifactor":    func(u *User) any { return texts(u.SecondFactors) },
	"role_ids":       func(u *User) any { return texts(u.RoleIDs) },
}

func texts(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

// metadataFields are those whose names go on behind a dot.
var metadataFields = map[string]func(*User) any{
	"user_metadata": func(u *User) any { return u.UserMetadata },
	"app_metadata":  func(u *User) any { return u.AppMetadata },
	"identities": func(u *User) any {
		all := make([]any, 0, len(u.Identities))
		for _, i := range u.Identities {
			all = append(all, map[string]any{
				"connection": i.Connection, "provider": i.Provider, "user_id": i.UserID, "isSocial": i.IsSocial, "profileData": i.Profile,
			})
		}
		return all
	},
}

// knownField reports whether a query may name a field.
func knownField(name string) error {
	head, _, _ := strings.Cut(name, ".")
	if queryFields[name] != nil || metadataFields[head] != nil {
		return nil
	}
	names := []string{}
	for n := range queryFields {
		names = append(names, n)
	}
	for n := range metadataFields {
		names = append(names, n+".…")
	}
	slices.Sort(names)
	return invalid("q", "users have no field %.80q; there are %s", name, strings.Join(names, ", "))
}

// freeFields are those that a value without a field is looked for in.
var freeFields = []string{"email", "name", "given_name", "family_name", "nickname", "username"}

// on returns the condition that a field has the value; "" stands for freeFields.
func (v queryValue) on(field string) (clause, error) {
	if field == "" {
		if v.kind != valueWord || v.text == "" {
			return clause{}, invalid("q", `a field is missing: name:"…"`)
		}
		v.anyStart, v.anyEnd = true, true
		test := v.test("")
		return clause{match: func(u *User) bool {
			return slices.ContainsFunc(freeFields, func(f string) bool { return test(queryFields[f](u)) })
		}}, nil
	}
	find := queryFields[field]
	if find == nil {
		head, path, _ := strings.Cut(field, ".")
		whole, steps := metadataFields[head], strings.Split(path, ".")
		if path == "" {
			steps = nil
		}
		if len(steps) > maxQueryDepth {
			return clause{}, invalid("q", "the field %.80q is nested deeper than %d", field, maxQueryDepth)
		}
		find = func(u *User) any { return walk(whole(u), steps) }
	}
	test := v.test(field)
	c := clause{match: func(u *User) bool { return holds(find(u), test) }}
	if v.kind == valueWord && !v.anyStart && !v.anyEnd && v.text != "" {
		switch field {
		case "user_id":
			c.id = v.text
		case "email", "email.raw":
			if CheckEmail("q", v.text) == nil { // others are nobody's, but not for the index to say
				c.email = v.text
			}
		}
	}
	return c, nil
}

// walk follows the steps of a path; through lists to each entry.
func walk(v any, steps []string) any {
	for n, step := range steps {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			found := make([]any, 0, len(at))
			for _, one := range at {
				if r := walk(one, steps[n:]); r != nil {
					found = append(found, r)
				}
			}
			return found
		default:
			return nil
		}
	}
	return v
}

// holds reports whether test holds for a value, or for one of a list.
func holds(v any, test func(any) bool) bool {
	if list, is := v.([]any); is {
		return slices.ContainsFunc(list, func(one any) bool { return holds(one, test) })
	}
	return test(v)
}

// test returns what reports whether a single value is the one asked for.
func (v queryValue) test(field string) func(any) bool {
	switch v.kind {
	case valueAny:
		return present
	case valueRange:
		return v.inRange
	}
	if field == "user_id" && !v.anyStart && !v.anyEnd {
		return func(got any) bool { return got == v.text }
	}
	want := strings.ToLower(v.text)
	return func(got any) bool {
		switch got := got.(type) {
		case time.Time:
			from, to, ok := period(v.text)
			return ok && !got.Before(from) && got.Before(to)
		case float64:
			n, err := strconv.ParseFloat(v.text, 64)
			return err == nil && n == got
		case nil:
			return false
		}
		have := strings.ToLower(text(got))
		switch {
		case v.anyStart && v.anyEnd:
			return strings.Contains(have, want)
		case v.anyStart:
			return strings.HasSuffix(have, want)
		case v.anyEnd:
			return strings.HasPrefix(have, want)
		}
		return have == want
	}
}

func present(got any) bool {
	switch got := got.(type) {
	case nil:
		return false
	case string:
		return got != ""
	case time.Time:
		return !got.IsZero()
	case map[string]any:
		return len(got) > 0
	}
	return true
}

// text is a value as a query writes it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	return ""
}

// inRange compares times with times, numbers with numbers, and texts by their bytes.
func (v queryValue) inRange(got any) bool {
	switch got := got.(type) {
	case time.Time:
		if got.IsZero() {
			return false
		}
		return v.above(func(s string) (int, bool) {
			from, to, ok := period(s)
			return side(got.Before(from), !got.Before(to)), ok
		})
	case float64:
		return v.above(func(s string) (int, bool) {
			n, err := strconv.ParseFloat(s, 64)
			return side(got < n, got > n), err == nil
		})
	case string:
		if got == "" {
			return false
		}
		return v.above(func(s string) (int, bool) { return strings.Compare(strings.ToLower(got), strings.ToLower(s)), true })
	}
	return false
}

func side(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// above reports whether a value is in the range, by a comparison with an end of it.
func (v queryValue) above(compare func(end string) (int, bool)) bool {
	if v.from != "" {
		c, ok := compare(v.from)
		if !ok || c < 0 || c == 0 && !v.withFrom {
			return false
		}
	}
	if v.to != "" {
		c, ok := compare(v.to)
		if !ok || c > 0 || c == 0 && !v.withTo {
			return false
		}
	}
	return true
}

// period reads a year, month, day or moment: from its beginning to before its end.
func period(s string) (from, to time.Time, ok bool) {
	for _, f := range []struct {
		layout string
		end    func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
		{"2006-01-02T15:04:05Z07:00", func(t time.Time) time.Time { return t.Add(time.Second) }},
		{time.RFC3339Nano, func(t time.Time) time.Time { return t.Add(1) }},
	} {
		if t, err := time.Parse(f.layout, s); err == nil {
			// A fraction of a second is read by every layout with seconds.
			if strings.Contains(s, ".") {
				return t, t.Add(1), true
			}
			return t, f.end(t), true
		}
	}
	return from, to, false
}
