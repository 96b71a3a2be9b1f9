package archtest

// ruleset is all rules that the module's files must keep.
type ruleset struct {
	layers  []layer
	beside  []beside
	reach   []reachRule
	only    []onlyRule
	uses    []useRule
	initsOK map[string]string // file → why it needs an init function
}

// layer is a row of packages. A package imports packages of lower layers only;
// imports inside a layer are named by beside. Every package of the module has
// its line in one of them.
type layer struct {
	name     string
	why      string
	packages []string
}

// beside allows an import inside a layer.
type beside struct {
	from, to string
	why      string
}

// reachRule forbids packages to import something themselves or through other
// packages of the module. Tests are free.
type reachRule struct {
	from    []string // packages
	mustNot []string // import paths, with everything below them
	why     string
}

// onlyRule names the packages that may import something. It holds in tests as
// well, unless testsToo is false.
type onlyRule struct {
	imports  []string // import paths, or folders of this module; "x/..." for all below
	by       []string
	testsToo bool
	why      string
}

// useRule forbids names of a package outside some files.
type useRule struct {
	pkg     string   // import path
	names   []string // its functions and variables
	where   scope
	in      []string          // packages it holds in; empty is all
	allowed map[string]string // file or pattern → why
	why     string
}

type scope int

const (
	code  scope = iota // files that are not tests
	tests              // _test.go files
)

// programs are the packages that start a process: what starts a process reads its
// flags and its environment itself.
var programs = []string{"cmd/...", "examples/...", "test/...", "scripts/..."}

// rules are the rules of this module, from the lowest layer up.
var rules = ruleset{
	layers: []layer{
		{
			name:     "failpoints",
			why:      "named places at which the crash test kills the program, on every layer; knows nothing",
			packages: []string{"internal/failpoint"},
		},
		{
			name: "ground",
			why:  "nouns and contracts that know nothing of the rest, so that everything can use them",
			packages: []string{
				"internal/clock",
				"internal/tuple",
				"internal/history",
				"internal/store",
				"internal/poison",
				"internal/telemetry",
				"internal/problem",
				"internal/suggest",
				"internal/archtest",
				"auth",
				"internal/keystore",
				"internal/doctor",
			},
		},
		{
			name: "drivers",
			why:  "implementations of the contracts; chosen by configuration, so only the root knows them",
			packages: []string{
				"internal/store/internal/local",
				"internal/telemetry/prometheus",
				"internal/store/memory",
				"internal/store/pebble",
				"internal/store/storetest",
				"internal/blobstore",
				"internal/blobstore/powercut",
				"internal/blobstore/drivertest",
				"internal/blobstore/cloud",
			},
		},
		{
			name: "records",
			why:  "the one place that knows keys, and the replay of a history, which knows no store",
			packages: []string{
				"internal/records",
				"internal/replay",
			},
		},
		{
			name: "engine",
			why:  "what runs functions and orchestrations; reached by users through the resources alone",
			packages: []string{
				"internal/unit",
				"internal/resource",
				"internal/delivery",
				"internal/ticker",
				"internal/consumer",
				"internal/jetstream",
				"internal/jetstream/natstest",
				"internal/engine",
				"internal/blobstore/collector",
				"internal/blobstore/signedurl",
			},
		},
		{
			name: "resources",
			why:  "the typed SDK and the services: each is usable, testable and replaceable alone",
			packages: []string{
				"durable",
				"durable/durabletest",
				"table",
				"live",
				"stream",
				"window",
				"blob",
				"queue",
				"blob/s3",
				"blob/azure",
				"mail",
				"internal/smtptest",
				"internal/pgtest",
			},
		},
		{
			name: "services",
			why:  "what an app can offer beside its functions: they speak to resources, never to each other, and the root wires them",
			packages: []string{
				"auth/login",
				"gateway/internal/certs",
				"gateway/internal/document",
				"gateway/internal/entity",
				"gateway/internal/entitytest",
				"gateway/internal/h1",
				"gateway/internal/kongfile",
				"gateway/internal/load",
				"gateway/internal/manifest",
				"gateway/internal/observe",
				"gateway/internal/plugin",
				"gateway/internal/plugin/acl",
				"gateway/internal/plugin/all",
				"gateway/internal/plugin/correlation",
				"gateway/internal/plugin/cors",
				"gateway/internal/plugin/iprestriction",
				"gateway/internal/plugin/jwt",
				"gateway/internal/plugin/keyauth",
				"gateway/internal/plugin/metrics",
				"gateway/internal/plugin/oidc",
				"gateway/internal/plugin/plugintest",
				"gateway/internal/plugin/ratelimit",
				"gateway/internal/plugin/sizelimit",
				"gateway/internal/plugin/terminate",
				"gateway/internal/plugin/transform",
				"gateway/internal/proxy",
				"gateway/internal/router",
				"identity",
				"identity/internal/checks",
				"identity/internal/directory",
				"identity/internal/directorytest",
				"identity/internal/managed",
				"identity/internal/management",
				"identity/internal/oidc",
				"identity/internal/people",
				"identity/internal/people/factor",
				"identity/internal/people/guard",
				"identity/internal/people/pages",
				"identity/internal/people/password",
				"pgidentity",
				"pgidentity/authority",
				"pgidentity/entra",
				"vault",
				"vault/internal/items",
				"vault/internal/jwa",
				"vault/internal/keys",
				"vault/internal/model",
				"vault/internal/guard",
				"vault/internal/audit",
				"vault/internal/pki",
				"vault/internal/certificates",
				"vault/internal/secrets",
				"vault/internal/rights",
				"vault/internal/rest",
				"vault/internal/vaulttest",
			},
		},
		{
			name: "wiring",
			why:  "what the root is made of: binding of structs, the HTTP side, windows, and what errors become there",
			packages: []string{
				"internal/failure",
				"internal/binding",
				"internal/httpapi",
				"internal/control",
				"internal/windows",
			},
		},
		{
			name:     "root",
			why:      "ties functions, resources and configuration to an app; nothing below can import it",
			packages: []string{"."},
		},
		{
			name:     "test kit",
			why:      "an app inside go test: it sees the app as users do, and lends it a store and a clock",
			packages: []string{"perduretest"},
		},
		{
			name: "programs",
			why:  "applications of the SDK, written as a user would",
			packages: []string{
				"cmd/perdure",
				"gateway/internal/plainproxy",
				"examples/fileapprover",
				"examples/fileapprover/analysis",
				"examples/fileapprover/web",
				"examples/names",
				"examples/names/web",
				"examples/profile",
				"examples/weather",
				"test/clients/auth0",
				"test/clients/azure",
				"test/clients/keyvault",
				"test/clients/oidc",
				"test/crash",
				"test/powerloss",
				"test/e2e",
				"test/e2e/browser",
				"test/e2e/identity",
				"test/e2e/live",
				"test/e2e/names",
				"test/program",
				"test/promises",
				"test/promises/app",
				"test/soak",
				"test/vault",
				"test/vault/app",
				"scripts/testreport",
				"docs/guides",
			},
		},
	},

	beside: []beside{
		{"gateway/internal/proxy", "gateway/internal/h1", "HTTP/1.1 of both sides of an exchange"},
		{"gateway/internal/certs", "gateway/internal/entity", "certificates and their names are Kong's"},
		{"gateway/internal/plugin", "gateway/internal/entity", "plugins and their settings are Kong's"},
		{"gateway/internal/plugin", "gateway/internal/h1", "header fields, as they were parsed"},
		{"gateway/internal/plugin", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin", "gateway/internal/plugin/plugintest", "its tests read configuration in Kong's format"},
		{"gateway/internal/plugin/plugintest", "gateway/internal/entity", "the test kit of plugins: a gateway"},
		{"gateway/internal/plugin/plugintest", "gateway/internal/kongfile", "the test kit of plugins: a gateway"},
		{"gateway/internal/plugin/plugintest", "gateway/internal/plugin", "the test kit of plugins: a gateway"},
		{"gateway/internal/plugin/plugintest", "gateway/internal/proxy", "the test kit of plugins: a gateway"},
		{"gateway/internal/plugin/plugintest", "gateway/internal/router", "the test kit of plugins: a gateway"},
		{"gateway/internal/plugin/jwt", "gateway/internal/entity", "consumers and credentials"},
		{"gateway/internal/plugin/jwt", "gateway/internal/h1", "its tests make requests"},
		{"gateway/internal/plugin/jwt", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/jwt", "gateway/internal/plugin/keyauth", "its tests have another plugin that authenticates"},
		{"gateway/internal/plugin/jwt", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/jwt", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/ratelimit", "gateway/internal/entity", "consumers and credentials"},
		{"gateway/internal/plugin/ratelimit", "gateway/internal/h1", "its tests make requests"},
		{"gateway/internal/plugin/ratelimit", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/ratelimit", "gateway/internal/plugin/jwt", "its tests have consumers"},
		{"gateway/internal/plugin/ratelimit", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/ratelimit", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/acl", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/acl", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/acl", "gateway/internal/plugin/keyauth", "its tests have consumers"},
		{"gateway/internal/plugin/acl", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/acl", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/correlation", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/correlation", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/correlation", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/cors", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/cors", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/cors", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/cors", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/iprestriction", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/iprestriction", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/iprestriction", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/iprestriction", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/keyauth", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/keyauth", "gateway/internal/h1", "header fields, as they were parsed"},
		{"gateway/internal/plugin/keyauth", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/keyauth", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/keyauth", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/sizelimit", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/sizelimit", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/sizelimit", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/terminate", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/terminate", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/terminate", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/terminate", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/transform", "gateway/internal/h1", "header fields, as they were parsed"},
		{"gateway/internal/plugin/transform", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/transform", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/transform", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/transform", "gateway/internal/router", "paths are normal"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/acl", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/correlation", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/cors", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/iprestriction", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/jwt", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/keyauth", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/metrics", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/oidc", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/ratelimit", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/sizelimit", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/terminate", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin/transform", "it lists the plugins"},
		{"gateway/internal/plugin/all", "gateway/internal/plugin", "it lists the plugins"},
		{"gateway/internal/plugin/metrics", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/metrics", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/metrics", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/metrics", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/oidc", "gateway/internal/entity", "Kong's nouns"},
		{"gateway/internal/plugin/oidc", "gateway/internal/plugin", "what plugins are made of"},
		{"gateway/internal/plugin/oidc", "gateway/internal/plugin/plugintest", "its tests run a gateway"},
		{"gateway/internal/plugin/oidc", "gateway/internal/proxy", "a plugin decides about an exchange"},
		{"gateway/internal/plugin/oidc", "gateway/internal/plugin/acl", "its tests have groups"},
		{"gateway/internal/observe", "gateway/internal/entity", "reports name Kong's nouns"},
		{"gateway/internal/observe", "gateway/internal/h1", "header fields, as they were parsed"},
		{"gateway/internal/observe", "gateway/internal/plugin", "what plugins have decided"},
		{"gateway/internal/observe", "gateway/internal/plugin/all", "its tests have all plugins"},
		{"gateway/internal/observe", "gateway/internal/plugin/plugintest", "its tests read configuration in Kong's format"},
		{"gateway/internal/observe", "gateway/internal/proxy", "what has become of an exchange"},
		{"gateway/internal/observe", "gateway/internal/router", "why a route was chosen"},
		{"gateway/internal/router", "gateway/internal/entity", "the routes are Kong's"},
		{"gateway/internal/router", "gateway/internal/h1", "a route may depend on header fields, as they were parsed"},
		{"identity", "identity/internal/directory", "the parts of the provider share what it knows"},
		{"identity", "identity/internal/oidc", "the provider wires its parts"},
		{"identity", "identity/internal/people", "the provider wires its parts"},
		{"identity", "identity/internal/managed", "the provider wires its parts"},
		{"identity", "identity/internal/management", "the provider wires its parts"},
		{"identity", "identity/internal/checks", "the provider wires its parts"},
		{"identity/internal/checks", "identity/internal/directory", "what is weak is found in what the directory knows"},
		{"identity/internal/checks", "identity/internal/directorytest", "its tests run on a directory"},
		{"internal/doctor", "internal/keystore", "the ids of master keys are compared"},
		{"auth", "internal/problem", "a request that is refused is answered by a problem"},
		{"identity/internal/directorytest", "identity/internal/directory", "the test kit of the directory"},
		{"identity/internal/managed", "identity/internal/directory", "a part of the provider works with what it knows"},
		{"identity/internal/managed", "identity/internal/directorytest", "its tests run on a directory"},
		{"identity/internal/management", "identity/internal/directory", "a part of the provider works with what it knows"},
		{"identity/internal/oidc", "identity/internal/directory", "a part of the provider works with what it knows"},
		{"internal/keystore", "internal/clock", "certificates are renewed by the time that tests can move"},
		{"internal/store/memory", "internal/store/internal/local", "both local stores share their commit loop"},
		{"internal/store/pebble", "internal/store/internal/local", "both local stores share their commit loop"},
		{"internal/blobstore/drivertest", "internal/blobstore", "what every driver must do, as tests"},
		{"internal/blobstore/cloud", "internal/blobstore", "a driver of the contract"},
		{"internal/blobstore/powercut", "internal/blobstore", "the file system that loses power, for the driver's tests"},
		{"internal/delivery", "internal/unit", "an event is handled in a unit of work"},
		{"internal/consumer", "internal/unit", "the events of a stream are handled in a unit of work"},
		{"internal/consumer", "internal/delivery", "an event that failed goes on as a delivery"},
		{"internal/jetstream", "internal/unit", "what is sent and read commits in a unit of work"},
		{"internal/ticker", "internal/unit", "a tick is published in a unit of work"},
		{"internal/engine", "internal/unit", "a turn commits as a unit of work"},
		{"internal/resource", "internal/unit", "a bound value is read and written in a unit of work"},
		{"durable/durabletest", "durable", "the test kit of orchestrations"},
		{"window", "table", "results become rows"},
		{"mail", "queue", "an outbox is a queue of messages"},
		{"live", "table", "what is pushed are the rows of a table"},
		{"internal/httpapi", "internal/failure", "errors are answered as problems"},
		{"internal/control", "internal/failure", "errors are answered as problems"},
		{"internal/binding", "internal/failure", "its tests look at the answers"},
		{"internal/control", "internal/httpapi", "where nothing is, the answer is as everywhere"},
		{"internal/httpapi", "internal/binding", "a function's request and answer are bound"},
		{"examples/fileapprover", "examples/fileapprover/analysis", "parts of one example"},
		{"examples/fileapprover", "examples/fileapprover/web", "parts of one example"},
		{"test/soak", "test/program", "the program that is killed"},
		{"test/clients/azure", "test/program", "the command is a program"},
		{"test/clients/keyvault", "test/program", "the command is a program"},
		{"test/promises", "test/program", "the program that is killed"},
		{"test/vault", "test/program", "the program that is killed"},
		{"examples/names", "examples/names/web", "parts of one example"},
		{"identity/internal/people", "identity/internal/directory", "people are what the directory knows"},
		{"identity/internal/people", "identity/internal/directorytest", "its tests run on a directory"},
		{"identity/internal/people", "identity/internal/people/factor", "what people sign in with"},
		{"identity/internal/people", "identity/internal/people/guard", "who tries too often waits"},
		{"identity/internal/people", "identity/internal/people/pages", "what people see"},
		{"identity/internal/people", "identity/internal/people/password", "what people sign in with"},
		{"gateway/internal/document", "gateway/internal/entity", "what is wrong in a file is a problem of the configuration"},
		{"gateway/internal/entitytest", "gateway/internal/entity", "the test kit of what reads configuration"},
		{"gateway/internal/kongfile", "gateway/internal/document", "a file is read by line"},
		{"gateway/internal/kongfile", "gateway/internal/entity", "a file becomes Kong's nouns"},
		{"gateway/internal/kongfile", "gateway/internal/entitytest", "its tests are archives"},
		{"gateway/internal/load", "gateway/internal/document", "what form a file has is seen by what is in it"},
		{"gateway/internal/load", "gateway/internal/entity", "everything together is compiled"},
		{"gateway/internal/load", "gateway/internal/entitytest", "its tests write problems"},
		{"gateway/internal/load", "gateway/internal/kongfile", "a folder has files of both forms"},
		{"gateway/internal/load", "gateway/internal/manifest", "a folder has files of both forms"},
		{"gateway/internal/manifest", "gateway/internal/document", "a manifest is read by line"},
		{"gateway/internal/manifest", "gateway/internal/entity", "manifests become Kong's nouns"},
		{"gateway/internal/manifest", "gateway/internal/entitytest", "its tests are archives"},
		{"vault", "vault/internal/model", "the vault's nouns"},
		{"vault", "vault/internal/secrets", "the vault wires its parts"},
		{"vault", "vault/internal/rights", "the vault wires its parts"},
		{"vault", "vault/internal/rest", "the vault wires its parts"},
		{"vault", "vault/internal/pki", "a certificate's secret is read"},
		{"vault", "vault/internal/keys", "the vault wires its parts"},
		{"vault", "vault/internal/items", "the vault wires its parts"},
		{"vault", "vault/internal/guard", "the vault wires its parts"},
		{"vault", "vault/internal/certificates", "the vault wires its parts"},
		{"vault", "vault/internal/audit", "the vault wires its parts"},
		{"vault/internal/vaulttest", "vault/internal/model", "the test kit of the vault"},
		{"vault/internal/guard", "vault/internal/model", "the nouns of the vault"},
		{"vault/internal/guard", "vault/internal/rights", "it decides by rights"},
		{"vault/internal/guard", "vault/internal/audit", "it notes what was done"},
		{"vault/internal/guard", "vault/internal/vaulttest", "its tests run on a vault"},
		{"vault/internal/audit", "vault/internal/model", "the nouns of the vault"},
		{"vault/internal/audit", "vault/internal/vaulttest", "its tests run on a vault"},
		{"vault/internal/rights", "vault/internal/model", "the nouns of the vault"},
		{"vault/internal/rights", "vault/internal/vaulttest", "its tests run on a vault"},
		{"vault/internal/pki", "vault/internal/model", "policies and errors are the vault's"},
		{"vault/internal/keys", "vault/internal/model", "keys are the vault's nouns"},
		{"vault/internal/keys", "vault/internal/items", "a key is an item with rules"},
		{"vault/internal/keys", "vault/internal/jwa", "what keys can do"},
		{"vault/internal/keys", "vault/internal/vaulttest", "its tests run on a vault in memory"},
		{"vault/internal/certificates", "vault/internal/model", "certificates are the vault's nouns"},
		{"vault/internal/certificates", "vault/internal/items", "a certificate is an item with rules"},
		{"vault/internal/certificates", "vault/internal/pki", "certificates are made and read"},
		{"vault/internal/certificates", "vault/internal/jwa", "the keys of certificates are made as all are"},
		{"vault/internal/certificates", "vault/internal/keys", "its tests use the keys of certificates"},
		{"vault/internal/certificates", "vault/internal/secrets", "its tests read the secrets of certificates"},
		{"vault/internal/certificates", "vault/internal/vaulttest", "its tests run on a vault in memory"},
		{"vault/internal/jwa", "vault/internal/model", "errors and requests are the vault's"},
		{"vault/internal/items", "vault/internal/model", "items are the vault's nouns, as rows"},
		{"vault/internal/items", "vault/internal/vaulttest", "its tests run on a vault in memory"},
		{"vault/internal/rest", "vault/internal/model", "requests and answers are made of the vault's nouns"},
		{"vault/internal/rest", "vault/internal/items", "its tests run on real services"},
		{"vault/internal/rest", "vault/internal/secrets", "its tests run on real services"},
		{"vault/internal/rest", "vault/internal/keys", "its tests run on real services"},
		{"vault/internal/rest", "vault/internal/certificates", "its tests run on real services"},
		{"vault/internal/rest", "vault/internal/vaulttest", "its tests run on a vault in memory"},
		{"vault/internal/secrets", "vault/internal/model", "secrets are the vault's nouns"},
		{"vault/internal/secrets", "vault/internal/items", "a secret is an item with rules"},
		{"vault/internal/secrets", "vault/internal/vaulttest", "its tests run on a vault in memory"},
		{"pgidentity/entra", "pgidentity", "another way to log in is one of those that a program chooses from"},
	},

	reach: []reachRule{
		{
			from: []string{"pgidentity"},
			mustNot: []string{
				"github.com/perdure/perdure/pgidentity/authority", "github.com/perdure/perdure/table", "github.com/Azure", "github.com/microsoft",
			},
			why: "a program that logs into a database carries PostgreSQL's driver and no more",
		},
		{
			from:    []string{"durable", "internal/replay", "internal/engine"},
			mustNot: []string{"database/sql", "net/http"},
			why:     "orchestrations replay: what they are built on has no way to a network or a database",
		},
		{
			from:    []string{"internal/replay"},
			mustNot: []string{"os", "net"},
			why:     "replay is a function of history and code, without I/O",
		},
	},

	only: []onlyRule{
		{
			imports:  []string{"github.com/microsoft/go-mssqldb/..."},
			by:       []string{"pgidentity/entra", "docs/guides"},
			testsToo: true,
			why:      "who does not log into Azure SQL does not carry its driver",
		},
		{
			imports:  []string{"internal/tuple"},
			by:       []string{"internal/records", "internal/tuple"},
			testsToo: true,
			why:      "keys are named in one place: the record layer",
		},
		{
			imports: []string{
				"internal/store/memory", "internal/store/pebble", "internal/blobstore",
			},
			by:  []string{".", "durable/durabletest", "perduretest", "identity/internal/directorytest", "vault/internal/vaulttest", "internal/blobstore/...", "blob/s3", "blob/azure", "test/..."},
			why: "which store runs is configuration; everything else speaks to the contract",
		},
		{
			imports:  []string{"github.com/cockroachdb/pebble/v2/..."},
			by:       []string{"internal/store/...", "test/..."},
			testsToo: true,
			why:      "the embedded store is behind the contract, so that another can take its place",
		},
		{
			imports:  []string{"github.com/nats-io/nats.go/..."},
			by:       []string{"internal/jetstream/...", ".", "docs/guides", "test/..."},
			testsToo: true,
			why:      "NATS is behind one package, so that another system can take its place",
		},
		{
			imports:  []string{"github.com/nats-io/nats-server/v2/..."},
			by:       []string{"internal/jetstream/natstest"},
			testsToo: true,
			why:      "the server is for tests, and starts in one way",
		},
		{
			imports:  []string{"github.com/wneessen/go-mail/..."},
			by:       []string{"mail"},
			testsToo: true,
			why:      "SMTP is behind one package, which says what may be sent and what an answer means",
		},
		{
			imports:  []string{"github.com/emersion/go-smtp/...", "github.com/emersion/go-sasl/..."},
			by:       []string{"internal/smtptest"},
			testsToo: true,
			why:      "the server is for tests, and starts in one way",
		},
		{
			imports:  []string{"github.com/tink-crypto/tink-go/v2/..."},
			by:       []string{"internal/keystore"},
			testsToo: true,
			why:      "what is sealed at rest is sealed in one way, by keys that one package holds",
		},
		{
			imports: []string{"github.com/kong/..."},
			by:      []string{"test/..."},
			why:     "Kong's own client judges the Admin API in tests; a gateway does not carry it",
		},
		{
			imports: []string{"flag", "github.com/spf13/pflag", "github.com/spf13/cobra"},
			by:      programs,
			why:     "a library does not read the command line of the program it is in",
		},
		{
			imports: []string{"testing", "github.com/chromedp/chromedp"},
			by:      []string{"internal/store/storetest", "internal/blobstore/drivertest", "internal/jetstream/natstest", "internal/smtptest", "internal/pgtest", "gateway/internal/entitytest", "gateway/internal/plugin/plugintest", "durable/durabletest", "perduretest", "identity/internal/directorytest", "vault/internal/vaulttest", "test/..."},
			why:     "test code stays out of applications, except in the packages that are for tests",
		},
	},

	uses: []useRule{
		{
			pkg:   "os",
			names: []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
			where: code,
			allowed: map[string]string{
				"config.go":                "the root reads PERDURE_* in this one file",
				"internal/failpoint/on.go": "in the builds of the crash test alone: a point may be passed before any setting is read",
				"cmd/...":                  "a program",
				"examples/...":             "a program",
				"test/...":                 "a program",
				"scripts/...":              "a program",
				"internal/pgtest/...":      "for tests alone: whether a missing PostgreSQL fails them",
			},
			why: "the environment is read in one place; elsewhere settings are arguments",
		},
		{
			pkg:   "time",
			names: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
			where: code,
			in:    []string{"internal/replay", "internal/history"},
			why:   "replay has no clock: the same history gives the same decisions",
		},
		{
			pkg:   "time",
			names: []string{"Sleep"},
			where: tests,
			why:   "a test that sleeps is slow or fails now and then: use an injected clock, a channel or testing/synctest",
		},
	},

	initsOK: map[string]string{
		"blob/s3/s3.go":                         "an import registers the driver, as with database/sql: a program without it does not carry the SDK",
		"blob/azure/azure.go":                   "an import registers the driver, as with database/sql: a program without it does not carry the SDK",
		"examples/fileapprover/analysis/pdf.go": "pdfcpu writes into the user's home unless its global is set before its first use",
	},
}
