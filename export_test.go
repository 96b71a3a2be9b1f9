package perdure

import (
	"context"
	"slices"

	"github.com/perdure/perdure/internal/records"
)

// Break makes the app one that cannot go on.
func (a *App) Break(cause error) { a.running.Load().fail(cause) }

// MatchPattern matches a blob's name with a pattern and returns the values of its names.
func MatchPattern(pattern, name string) (values map[string]string, names []string, err error) {
	re, names, err := compilePattern(pattern)
	if err != nil {
		return nil, nil, err
	}
	m := re.FindStringSubmatch(name)
	if m == nil {
		return nil, names, nil
	}
	values = map[string]string{}
	for i, v := range m[1:] {
		values[names[i]] = v
	}
	return values, slices.Clone(names), nil
}

// LostEvents is the function whose dead letters are the events that no instance took.
const LostEvents = undelivered

// ExpireAnswers removes the answers that have expired.
func (a *App) ExpireAnswers(ctx context.Context) error {
	return a.running.Load().expireDue(ctx, records.ExpireAnswers)
}

// SignWebhook returns the signature of a message under a secret.
func SignWebhook(secret, id, at, body string) (string, error) {
	key, err := webhookKey(secret)
	return signWebhook(key, id, at, []byte(body)), err
}

// IsPublic reports whether a webhook may lead to an address.
var IsPublic = isPublic
