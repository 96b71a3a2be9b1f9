package main

import (
	"context"
	"crypto"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"
)

// kind says which workflow an engine runs. Each engine has all three under these names.
type kind string

const (
	// sequence calls in.Activities activities one after another and returns the last result.
	sequence kind = "sequence"
	// parallel calls in.Activities activities at once and returns how many answered.
	parallel kind = "parallel"
	// approval waits for one external event and returns its text.
	approval kind = "approval"
)

// input is what a workflow is started with.
type input struct {
	Activities int    `json:"activities,omitempty"`
	Text       string `json:"text,omitempty"`   // given to each activity
	Inline     bool   `json:"inline,omitempty"` // inline steps instead of activities, where an engine has both
}

// greet is the activity of every engine.
func greet(text string) string { return "Hello " + text }

// expected is the result that a sequence or parallel workflow must return.
func expected(k kind, in input) string {
	if k == parallel {
		return strconv.Itoa(in.Activities)
	}
	return greet(in.Text)
}

// countGreetings returns how many of the results of the parallel workflow are right, as its result.
func countGreetings(results []string, text string) string {
	right := 0
	for _, result := range results {
		if result == greet(text) {
			right++
		}
	}
	return strconv.Itoa(right)
}

const (
	// decisionEvent is the name of the event that the approval workflow waits for; it carries a text.
	decisionEvent = "decision"
	// decisionTimeout is longer than any run, for engines that want a timeout.
	decisionTimeout = 24 * time.Hour
)

// engine is one product under test, with what works for it in this process. Each is a workflowEngine, a messageEngine, a
// verifyEngine, a tokenEngine or a vaultEngine, or several of them.
type engine interface {
	// open starts the engine on dir, which is empty or holds what an earlier process left there, and returns when
	// it takes work.
	open(ctx context.Context, dir string) error
	// server returns the process id of the engine's server, or 0 if it works in this process.
	server() int
	// close stops the engine; what is durable stays in dir.
	close() error
}

// workflowEngine runs durable workflows. Its methods are called from many goroutines.
type workflowEngine interface {
	engine
	// run starts a workflow and returns its result, in the cheapest way in which the engine can do both.
	run(ctx context.Context, id string, k kind, in input) (string, error)
	// start returns when the start of the workflow is durable.
	start(ctx context.Context, id string, k kind, in input) error
	// raise sends a decision to an approval workflow and returns when it is durable.
	raise(ctx context.Context, id, decision string) error
	// result waits for the end of a workflow that start began, perhaps in an earlier process.
	result(ctx context.Context, id string) (string, error)
}

// messageEngine carries messages to deps.handle: through a queue in the workload queue, through a stream in the workload
// stream. Its methods are called from many goroutines.
type messageEngine interface {
	engine
	// send returns when the message is durable.
	send(ctx context.Context, message string) error
	// drained returns when all of the first n messages are durably acknowledged.
	drained(ctx context.Context, n int) error
}

// verifyEngine verifies access tokens. Its methods are called from many goroutines.
type verifyEngine interface {
	engine
	// trust makes it verify the tokens of an issuer. It is called once, before verify.
	trust(ctx context.Context, issuer trusted) error
	// verify returns what a handler needs to know of the caller, if the token is good.
	verify(ctx context.Context, token string) (caller, error)
}

// tokenEngine issues access tokens, in a process of its own. Its methods are called from many goroutines.
type tokenEngine interface {
	engine
	// issue returns an access token that an application got by client credentials.
	issue(ctx context.Context) (string, error)
	// refresh rotates the refresh token of one of the sign-ins, which are numbered from 0 to deps.inflight - 1, and
	// returns the access token that came with it. One sign-in is used by one goroutine at a time.
	refresh(ctx context.Context, signIn int) (string, error)
}

// vaultEngine keeps secrets, each value durably before set returns, and a key that does not leave it. Its methods are called
// from many goroutines.
type vaultEngine interface {
	engine
	// get returns the current value of a secret.
	get(ctx context.Context, name string) (string, error)
	// set makes a new version of a secret.
	set(ctx context.Context, name, value string) error
	// sign returns the signature of a SHA-256 digest by the algorithm that is measured, as JWA has it.
	sign(ctx context.Context, digest []byte) ([]byte, error)
	// public returns the public part of the key.
	public(ctx context.Context) (crypto.PublicKey, error)
}

// facts are what a row says of an engine.
type facts struct {
	version    string
	store      string
	durability string
}

// deps are what an engine is made from.
type deps struct {
	store    string          // sqlite or postgres
	inflight int             // workflows that will be in flight at once
	evict    bool            // keep no waiting workflow in memory, where an engine can do so
	waiting  func(id string) // called by the approval workflow when it begins to wait
	workload string          // what will be measured
	variant  variant         // which variant of it
	handle   func(string)    // called once for each message that was handled, before it is acknowledged
}

// What an engine can be given.
const (
	workflows = "workflows"
	queued    = "queue"
	streamed  = "stream"
	verified  = "verify"
	issued    = "tokens"
	refreshed = "refresh"
	kept      = "secret"
	signed    = "sign"
)

// peer is an entry in the list of engines.
type peer struct {
	name string
	does []string // what it can be given: workflows, queue, stream, verify, tokens, refresh, secret, sign
	step string   // the kind of step that its workflows use: activity or inline
	both bool     // has inline steps beside its activities
	// remembers says that it can remember tokens that it has verified.
	remembers bool
	// inProcess says that its vault can be used by calls, too.
	inProcess bool
	make      func(deps) (engine, facts, error)
	// waitingN is the default number of instances of the waiting workload.
	waitingN int
}

// peers are all engines, in the order in which they run.
var peers = []peer{
	{
		name: "perdure", does: []string{workflows, queued, streamed, verified, issued, refreshed, kept, signed}, step: "activity", both: true,
		remembers: true, inProcess: true, make: newPerdure, waitingN: 100_000,
	},
	{name: "dbos", does: []string{workflows}, step: "inline", make: newDBOS, waitingN: 1000},
	{name: "durabletask", does: []string{workflows}, step: "activity", make: newDurableTask, waitingN: 1000},
	{name: "goworkflows", does: []string{workflows}, step: "activity", make: newGoWorkflows, waitingN: 1000},
	{name: "restate", does: []string{workflows}, step: "inline", make: newRestate, waitingN: 1000},
	{name: "temporal", does: []string{workflows}, step: "activity", make: newTemporal, waitingN: 1000},
	{name: "river", does: []string{queued}, make: newRiver},
	{name: "goqite", does: []string{queued}, make: newGoqite},
	{name: "jetstream", does: []string{queued, streamed}, make: newJetStream},
	{name: "go-oidc", does: []string{verified}, make: newGoOIDC},
	{name: "jwx", does: []string{verified}, make: newJWX},
	{name: "golang-jwt", does: []string{verified}, make: newGolangJWT},
	{name: "zitadel", does: []string{issued, refreshed}, make: newZitadel},
	{name: "fosite", does: []string{issued, refreshed}, make: newFosite},
	{name: "openbao", does: []string{kept, signed}, make: newOpenBao},
}

func engineNames() []string {
	names := make([]string, len(peers))
	for i, p := range peers {
		names[i] = p.name
	}
	return names
}

func findPeer(name string) (peer, error) {
	for _, p := range peers {
		if p.name == name {
			return p, nil
		}
	}
	return peer{}, fmt.Errorf("no engine is called %q", name)
}

// moduleVersion returns the version of a module that is built into this program.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return "unknown"
}

// sqliteStore describes the SQLite driver that the peers in this process share.
func sqliteStore() string { return "sqlite (modernc " + moduleVersion("modernc.org/sqlite") + ")" }
