// Package perdure runs event-driven, durable applications in one process on one folder:
// functions that are triggered by HTTP requests and by files, and orchestrations that
// survive crashes and wait for people.
//
// A function either happened, with everything it wrote, or it did not happen. Exactly
// once inside Perdure; at least once, with a stable idempotency key, towards the outside.
//
// # Resources
//
// Tables and containers are typed names, declared once at the level of a package. They
// hold no store: two apps in one process share nothing but the declaration. See packages
// table and blob.
//
//	var (
//		Files    = blob.Container("files")
//		Metadata = table.Of[File]("metadata")
//	)
//
// # Functions
//
// A function is func(context.Context, *In) (*Out, error), added to an app with what
// triggers it: [HTTP] or [OnBlob]. Each run is a unit of work: all that it reads and
// writes through its context commits in one step when it returns nil, together with the
// end of the event that triggered it. If others have changed what it had read, it runs
// again. If it fails, nothing was written.
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
//	}
//
// Input tags are path, query, header, cookie, form, body and bind; output tags are
// status, header, body and bind.
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
//		Files, Metadata,
//		perdure.HTTP("POST /api/approve/{fileId}", approve),
//		perdure.OnBlob(Files, "{fileId}", start),
//		Process.Impl(process), Analyze.Impl(analyze),
//	)
//	err := app.Run(ctx)
//
// Besides the functions it serves GET /openapi.json, which describes them, GET /healthz,
// and the links that package blob signs.
//
// # Failures
//
//	what fails                      what happens
//	an HTTP function                its caller gets problem details (RFC 9457)
//	a function triggered by a blob  it runs again by its Policy, then a dead letter
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
//	the app is put together wrongly                  ErrConfig
//	Unit before the start or after the stop          ErrNotRunning
package perdure
