// Package control is the management of a running app as JSON over HTTP: what the
// perdure command speaks, on a Unix socket in the data folder, and what other programs
// may, on the app's own address with a token, or with a permission where the app knows who
// sends requests: ReadPermission to look, ManagePermission for all else and to see what is
// masked.
//
// Everything lies below Prefix. Names and ids in a path are percent-encoded, "/" too. A "~"
// at the beginning of one is taken away: "~~a" is "~a", "~.." is "..".
//
//	GET    info
//	GET    counts
//	GET    instances                             ?state= name= prefix= tag=k=v from= to=
//	POST   instances                             Start
//	GET    instances/{id}
//	GET    instances/{id}/history
//	POST   instances/{id}/events/{event}         the payload; ?keepFor=
//	POST   instances/{id}/suspend, resume, terminate, cancel
//	DELETE instances/{id}
//	GET    functions
//	GET    permissions
//	GET    deadletters                           ?function= cause= reason=
//	GET    deadletters/groups                    ?function=
//	POST   deadletters/resend, drop              Selection
//	GET    deadletters/{function}/{id}           ?reveal=true
//	PUT    deadletters/{function}/{id}/event     the event
//	POST   deadletters/{function}/{id}/resend
//	DELETE deadletters/{function}/{id}
//	GET    queues
//	GET    queues/{queue}/messages               ?reveal=true
//	DELETE queues/{queue}/messages
//	GET    streams
//	GET    streams/{stream}
//	POST   streams/{stream}/replay               Replay
//	GET    tables
//	GET    tables/{table}/rows                   ?partition= prefix=
//	GET    tables/{table}/row                    ?partition= row=
//	GET    blobs
//	GET    blobs/{container}                     ?prefix=
//	GET    blobs/{container}/{name}
//	GET    timers
//
// Lists take limit and cursor, and answer with next, which is empty at the end. Errors
// are problem details (RFC 9457).
//
// Events of dead letters and messages of queues are masked: their values are replaced by
// what they are. Who looks for what goes wrong need not see what it is about.
//
// The kinds of things that are managed are interfaces, each as small as its use here;
// package perdure ties them to the app.
package control
