// Package perduretest runs an app inside go test: with virtual time, a store in memory
// and no ports.
//
//	func TestReminder(t *testing.T) {
//		app := perduretest.Start(t, perdure.Config{}, parts()...)
//		app.Do("POST", "/api/orders", Order{ID: "7"}).Want(201)
//		app.Advance(24 * time.Hour)
//		app.Unit(func(ctx context.Context) error {
//			...                                       // look at tables, queues, streams
//		})
//	}
//
// Every call returns when the app is at rest: each event that was committed has been
// handled, waits for its next attempt, or is a dead letter. Time stands still but for
// Advance.
//
// CrashEverywhere runs a test again and again, each time with a crash at another commit,
// and so shows that nothing is lost and nothing done twice.
package perduretest
