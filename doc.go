// Package perdure runs event-driven, durable applications in one process on one folder:
// functions that requests, timers, messages, events, files and changes of rows trigger,
// and orchestrations that survive crashes and wait for people.
//
// A function either happened, with everything it wrote, or it did not happen. Exactly
// once inside Perdure; at least once, with a stable idempotency key, towards the outside.
//
// # Resources
//
// Tables, queues, streams and containers are typed names, declared once at the level of a
// package. They hold no store: two apps in one process share nothing but the declaration.
// See packages table, queue, stream and blob.
//
//	var (
//		Files    = blob.Container("files")
//		Metadata = table.Of[File]("metadata")
//		Mails    = queue.Of[Mail]("mails")
//		Visits   = stream.Of[Visit]("visits")
//	)
//
// # Functions
//
// A function is func(context.Context, *In) (*Out, error), added to an app with what
// triggers it:
//
//	HTTP           a request
//	OnTimer        a tick of a schedule
//	OnQueue        a message; a queue has one function
//	OnStream       an event of a stream, in the order of its key; each function sees all events
//	OnStreamBatch  several events of one partition
//	OnWindow       the result of a window of time over a stream; see package window
//	OnBlob         a blob that was written
//	OnBlobDeleted  a blob that was deleted
//	OnChange       a row that was inserted, updated or deleted
//	OnEnded        an instance of an orchestration that has ended
//
// Each run is a unit of work: all that it reads and writes through its context commits in
// one step when it returns nil, together with the end of the event that triggered it. If
// others have changed what it had read, it runs again. If it fails, nothing was written.
// Events of a stream that wait may share a unit; a function sees no difference.
//
// One [Policy] says for all triggers but HTTP how often an event is tried, how long, how
// many at a time; then it is a dead letter, see [App.DeadLetters].
//
// # Bindings
//
// Struct tags fill In and take from Out. They are checked when the app starts; a mistake
// names the function, the field and the mend.
//
//	type approveIn struct {
//		FileID string `path:"fileId"`
//		Meta   *File  `bind:"metadata/{fileId}"` // row absent: 404, nothing run
//	}
//
//	type approveOut struct {
//		Status int   `status:"202"`
//		Meta   *File `bind:"metadata/{fileId}"` // written in the same unit
//		Mail   *Mail `bind:"mails"`             // sent in the same unit
//	}
//
// Input tags are path, query, header, cookie, form, body and bind; output tags are
// status, header, body and bind. An event is the body of its function.
//
// # Orchestrations and activities
//
// They are declared as typed names, implemented by plain functions and added to the app
// with Impl. See package durable; [App.Durable] manages their instances.
//
// # The app
//
// [New] makes an app of a [Config], whose zero value runs. [App.Add] adds its parts, and
// [App.Run] runs it until its context is done:
//
//	app := perdure.New(perdure.Config{})
//	app.Add(
//		perdure.HTTP("POST /api/approve/{fileId}", approve),
//		perdure.OnBlob(Files, "{fileId}", start),
//		perdure.OnQueue(Mails, send, perdure.Policy{Attempts: 8}),
//		perdure.OnTimer("clean-up", "@daily", cleanUp, perdure.Zone("Europe/Berlin")),
//		live.Table("GET /live/metadata", Metadata),
//		Process.Impl(process), Analyze.Impl(analyze),
//	)
//	err := app.Run(ctx)
//
// A [Part] is what these calls return, and a resource. A resource that a part names by
// its value, as OnQueue does, need not be added; one that is named only in a bind tag
// must be, as Metadata would without the live endpoint. [Handle] adds a plain
// http.Handler, live.Table rows that a browser sees change.
//
// Besides the functions the app serves
//
//	GET /openapi.json    what describes its HTTP functions
//	GET /healthz         200 while it can do its work
//	GET /metrics         its metrics, unless Config.MeterProvider takes them
//	/perdure/v1/         its management, with the token in the data folder's control.token,
//	                     or a permission where the app knows who sends requests
//	GET /perdure/live.js the module for pages, if it has live endpoints
//
// and the links that package blob signs. The command perdure manages it through a socket
// in its folder.
//
// # Who may do what
//
// [Config.Identity] makes the app its own identity provider: people sign in, programs get
// tokens, and functions know who sends a request. [Config.Login] lets people sign in at
// another issuer, and [Config.Auth] is for any other way to find out. A policy of package auth says what is required
// of them: [Require] for a function, [Guarded] for a group, [Config.Policy] for what states
// none. It decides before the body of a request is read, and about the function's input in
// the unit of work. The app listens on an address that others than this machine can reach
// only if everything that is served there states a policy.
//
//	perdure.HTTP("POST /api/approve/{fileId}", approve, perdure.Require(auth.Permission("approve:files"), notOwn))
//
// A field of In of the type auth.Principal is who sent the request; *auth.Principal is nil for
// nobody.
//
// # Tests
//
// Package perduretest runs an app inside go test, with virtual time and crashes at every
// commit; package durable/durabletest does so for orchestrations alone.
//
// # Failures
//
//	what fails                      what happens
//	an HTTP function                its caller gets problem details (RFC 9457)
//	a function triggered by events  it runs again by its Policy, then a dead letter
//	an activity                     it is called again by its durable.Retry, then an error in its orchestration
//	an orchestration's code         its instance stalls until the code is mended
//	the disk                        App.Run returns the cause; what was acknowledged is safe
//
//	situation                                        error
//	a resource is used outside a unit of work        ErrNoUnit
//	or after the function has returned               ErrUnitClosed
//	a call that waits, inside a unit                 ErrInsideUnit
//	others kept changing what a unit had read        ErrConflict
//	a unit buffers or validates too much             ErrTooLarge
//	no such row or blob                              ErrNotFound
//	no such dead letter                              ErrNoDeadLetter
//	an event that is edited is not JSON              ErrBadEvent
//	Extend after the time of a run, or outside one   ErrNoRun
//	no function of that name reads that stream       ErrNoReader
//	the app is put together wrongly                  ErrConfig
//	Unit before the start or after the stop          ErrNotRunning
package perdure
