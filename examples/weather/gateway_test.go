package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/control"
)

// audience is the identifier of the app's API.
var audience = config.Identity.API.Identifier

const secure = "/weatherforecast/secure"

// front is the app behind its gateway.
type front struct {
	t        *testing.T
	w        *weather
	clock    *clock.Manual
	operator *control.Client
	base     string // of the gateway
	issuer   string // as tokens say it
	dir      string // where the guide's commands are run
	env      []string
	log      string
	reasons  []string // that the log of requests must have
}

// answered is an answer.
type answered struct {
	status int
	header http.Header
	body   string
}

func (f *front) ask(method, path, token, body string) answered {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.base+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		f.t.Fatal(err)
	}
	return answered{res.StatusCode, res.Header, string(text)}
}

// do tells the app something as the operator of the machine.
func (f *front) do(method, path string, body, into any) {
	f.t.Helper()
	if err := f.operator.Do(f.t.Context(), method, path, nil, body, into); err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// reload has the gateway read its files again.
func (f *front) reload() {
	f.t.Helper()
	var last gateway.Reload
	if f.do(http.MethodPost, "gateway/reload", nil, &last); !last.OK || len(last.Problems) > 0 {
		f.t.Fatalf("the manifests: %v", last.Problems)
	}
}

// explain says why a request would be answered as it would.
func (f *front) explain(token string) gateway.Report {
	f.t.Helper()
	question := gateway.Question{Method: http.MethodGet, URL: f.base + secure, Headers: http.Header{}}
	if token != "" {
		question.Headers.Set("Authorization", "Bearer "+token)
	}
	var report gateway.Report
	f.do(http.MethodPost, "gateway/explain", question, &report)
	return report
}

// application makes one with permissions, and returns what it asks for tokens with.
func (f *front) application(name string, permissions ...string) url.Values {
	f.t.Helper()
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	f.do(http.MethodPost, "identity/api/v2/clients", map[string]any{"name": name, "app_type": "non_interactive"}, &made)
	f.do(http.MethodPost, "identity/api/v2/client-grants", map[string]any{"client_id": made.ID, "audience": audience, "scope": permissions}, nil)
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {made.ID}, "client_secret": {made.Secret}, "audience": {audience},
	}
}

// token is the one of a new application with permissions.
func (f *front) token(name string, permissions ...string) string {
	f.t.Helper()
	res, err := http.PostForm(f.issuer+"oauth/token", f.application(name, permissions...))
	if err != nil {
		f.t.Fatal(err)
	}
	var granted struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(res.Body).Decode(&granted)
	if err := errors.Join(err, res.Body.Close()); err != nil || granted.Token == "" {
		f.t.Fatalf("a token of %s: %s, %v", name, res.Status, err)
	}
	return granted.Token
}

// forged is a token by a key of nobody, that says to be of an issuer.
func (f *front) forged(key *rsa.PrivateKey, issuer string) string {
	f.t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	now := f.clock.Now()
	text := encode([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"1"}`)) + "." + encode(fmt.Appendf(nil,
		`{"iss":%q,"aud":%q,"sub":"me","client_id":"me","iat":%d,"exp":%d,"permissions":["read:weather"]}`, issuer, audience, now.Unix(), now.Unix()+3600))
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return text + "." + encode(signature)
}

// test shows what the gateway is for. The forecast can be had.
func (f *front) test() {
	t := f.t
	reader, stranger, writer := f.token("reader", "read:weather"), f.token("stranger", "perdure:read"), f.token("writer", "read:weather", "write:weather")

	if a := f.ask("GET", "/weatherforecast", "", ""); a.status != 200 {
		t.Errorf("for anybody: %d %s", a.status, a.body)
	}
	if a := f.ask("GET", "/weatherforecast/elsewhere", reader, ""); a.status != 404 || !strings.Contains(a.body, "no Route matched") {
		t.Errorf("what has no route: %d %s", a.status, a.body)
	}
	a := f.ask("GET", secure, "", "")
	if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" || a.body != `{"message":"Unauthorized"}` {
		t.Errorf("without a token: %d %s %v", a.status, a.body, a.header)
	}
	f.refused(a, "", "there is no token: it was looked for in the header authorization")

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for issuer, reason := range map[string]string{
		"https://elsewhere.example.com/":  `no jwt credential has the key "https://elsewhere.example.com/", which is the token's iss`,
		strings.TrimSuffix(f.issuer, "/"): "which differs by the slash at the end",
		f.issuer:                          "the signature is not by the key of the credential",
	} {
		token := f.forged(key, issuer)
		a := f.ask("GET", secure, token, "")
		if a.status != 401 || a.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
			t.Errorf("of %s: %d %s %v", issuer, a.status, a.body, a.header)
		}
		f.refused(a, token, reason)
	}

	// Without the permission the app refuses. It counts all the same: the limit is the gateway's, which does not know permissions.
	a = f.ask("GET", secure, stranger, "")
	if a.status != 403 || a.header.Get("X-RateLimit-Remaining-Minute") != "4" || !strings.Contains(a.body, "read:weather") {
		t.Errorf("without the permission: %d %s %v", a.status, a.body, a.header)
	}
	f.nextMinute()
	f.six(reader, `the consumer "weather-clients" had used 5 of 5 in this minute: the limit is reached`)
	f.nextMinute()
	const report = `{"station":"balcony","temperatureC":21}`
	for _, try := range []struct {
		token string
		want  int
	}{{"", 401}, {reader, 403}, {writer, 204}} {
		if a := f.ask("POST", secure+"/observations", try.token, report); a.status != try.want {
			t.Errorf("report: %d %s, want %d", a.status, a.body, try.want)
		}
	}
	f.nextMinute()
}

// nextMinute lets the limit begin anew. Two minutes without a request are a connection's last, and one that is made before the
// gateway has noticed that time has passed would be taken for an old one: it has when its timer is set again.
func (f *front) nextMinute() {
	http.DefaultClient.CloseIdleConnections()
	timers := f.clock.Timers()
	f.clock.Advance(time.Minute)
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	_ = f.clock.WaitTimers(ctx, timers) // some are not set again
}

// refused says that the reason of an answer is in explain, in what is known of the request, and in the log.
func (f *front) refused(a answered, token, reason string) {
	f.t.Helper()
	var past gateway.Report
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) { // it is known when the exchange has ended
		err := f.operator.Do(f.t.Context(), http.MethodGet, "gateway/requests/"+a.header.Get("X-Kong-Request-Id"), nil, nil, &past)
		if err == nil {
			break
		} else if time.Now().After(deadline) {
			f.t.Fatal(err)
		}
	}
	for _, r := range []gateway.Report{f.explain(token), past} {
		if !strings.HasPrefix(r.Verdict, "refused with 401 by jwt: ") || !strings.Contains(r.Verdict, reason) {
			f.t.Errorf("explained: %s, want %s", r.Verdict, reason)
		}
	}
	f.reasons = append(f.reasons, reason)
}

// six sends six requests: the last is one too many.
func (f *front) six(token, why string) {
	f.t.Helper()
	var last answered
	for i := range 6 {
		want, left := 200, strconv.Itoa(max(0, 4-i))
		if i == 5 {
			want = 429
		}
		last = f.ask("GET", secure, token, "")
		if h := last.header; last.status != want || h.Get("X-RateLimit-Limit-Minute") != "5" || h.Get("X-RateLimit-Remaining-Minute") != left ||
			h.Get("RateLimit-Limit") != "5" || h.Get("RateLimit-Remaining") != left {
			f.t.Errorf("request %d: %d %s %v", i+1, last.status, last.body, h)
		}
		var days []Forecast
		if err := json.Unmarshal([]byte(last.body), &days); want == 200 && (err != nil || len(days) != daysSecure) {
			f.t.Errorf("request %d: %s, %v", i+1, last.body, err)
		}
	}
	rest := strconv.Itoa(60 - f.clock.Now().Second())
	if h := last.header; h.Get("Retry-After") != rest || h.Get("RateLimit-Reset") != rest || !strings.Contains(last.body, "API rate limit exceeded") {
		f.t.Errorf("the sixth, %s seconds before the end of the minute: %s %v", rest, last.body, h)
	}
	if r := f.explain(token); !strings.HasPrefix(r.Verdict, "refused with 429 by rate-limiting: "+why) {
		f.t.Errorf("the seventh: %s", r.Verdict)
	}
	f.reasons = append(f.reasons, why)
}

// logged looks for the reasons in the log of requests, when it has been written.
func (f *front) logged() {
	f.t.Helper()
	file, err := os.Open(f.log)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	var found []string
	for d := json.NewDecoder(file); ; {
		var line struct{ Reason string }
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			f.t.Fatal(err)
		}
		found = append(found, line.Reason)
	}
	for _, reason := range f.reasons {
		if !slices.ContainsFunc(found, func(text string) bool { return strings.Contains(text, reason) }) {
			f.t.Errorf("the log has no %q: %q", reason, found)
		}
	}
}

// When another key signs, tokens of the one before are good for as long as its credential is there.
func (f *front) rotate() {
	t := f.t
	manifest, err := os.ReadFile("manifests/jwt.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, manifests, "jwt.yaml"), manifest, 0o600)
	}
	if err := errors.Join(err, os.RemoveAll(filepath.Join(f.dir, manifests, "openid-connect.yaml"))); err != nil {
		t.Fatal(err)
	}
	export := "perdure keys export --format kubernetes --consumer weather-clients --file weather-data/manifests/weather-clients.yaml"
	f.run(export)
	old := f.token("old", "read:weather")
	f.do(http.MethodPost, "identity/api/v2/keys/signing/rotate", nil, nil)
	f.clock.Advance(time.Hour + time.Minute)
	var young string
	for deadline := time.Now().Add(time.Minute); young == "" || keyID(young) == keyID(old); <-time.After(10 * time.Millisecond) {
		if young = f.token("young", "read:weather"); time.Now().After(deadline) {
			t.Fatal("the next key does not sign")
		}
	}
	for _, step := range []struct {
		change     string
		old, young bool // not refused
	}{
		{"true", true, false},
		{export, false, true},
		{export + " --by kid && sed -i.bak 's/key_claim_name: iss/key_claim_name: kid/' examples/weather/manifests/jwt.yaml", true, true},
	} {
		f.run(step.change)
		f.reload()
		f.nextMinute()
		for token, good := range map[string]bool{old: step.old, young: step.young} {
			if a := f.ask("GET", secure, token, ""); (a.status == 401) == good {
				t.Errorf("after %s: %d %s, %s", step.change, a.status, a.body, f.explain(token).Verdict)
			}
		}
	}
}

func keyID(token string) string {
	head, _, _ := strings.Cut(token, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head)
	var h struct{ KID string }
	_ = json.Unmarshal(text, &h)
	return h.KID
}

// guide sends the commands of the guide, one after another, and compares what they print: "…" stands for any text.
func (f *front) guide(name string) {
	t := f.t
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// What scripts/weather.sh has done, and an issuer at another address.
	reader := f.application("weather-reader", "read:weather").Encode()
	discovering, err := os.ReadFile("manifests-oidc/openid-connect.yaml")
	discovering = bytes.ReplaceAll(discovering, []byte("http://localhost:8084/"), []byte(f.issuer))
	if err := errors.Join(err, os.WriteFile(filepath.Join(f.dir, "weather-data/weather-reader"), []byte(reader), 0o600),
		os.WriteFile(filepath.Join(f.dir, "examples/weather/manifests-oidc/openid-connect.yaml"), discovering, 0o600)); err != nil {
		t.Fatal(err)
	}
	plain, _ := f.w.app.GatewayAddr()
	_, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	addresses := strings.NewReplacer("localhost:8082", "localhost:"+port, "http://localhost:8084/", f.issuer, "localhost:8084/", strings.TrimPrefix(f.issuer, "http://"))
	spaces := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(addresses.Replace(block[1]), -1)[1:] {
			command, want, _ := strings.Cut(strings.ReplaceAll(part, "\\\n", " "), "\n")
			got := f.run(command)
			if pattern := strings.ReplaceAll(regexp.QuoteMeta(spaces(want)), "…", ".*?"); !regexp.MustCompile(`(?s)\A` + pattern + `\z`).MatchString(spaces(got)) {
				t.Errorf("%s\nprinted\n%s\nthe page shows\n%s", command, got, want)
			}
			if strings.Contains(command, "manifests/") {
				f.reload()
			}
		}
	}
}

// tools makes a folder with the commands that the guide uses: perdure, and curl, which is this program where there is none.
func (f *front) tools() {
	f.t.Helper()
	bin, root := f.t.TempDir(), "../.."
	build := exec.CommandContext(f.t.Context(), "go", "build", "-buildvcs=false", "-ldflags=-w", "-o", filepath.Join(bin, "perdure"), "./cmd/perdure")
	build.Dir = root
	out, err := build.CombinedOutput()
	self, selfErr := os.Executable()
	if err := errors.Join(err, selfErr); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		script := fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec %q \"$@\"\n", asCurl, self)
		if err := os.WriteFile(filepath.Join(bin, "curl"), script, 0o700); err != nil {
			f.t.Fatal(err)
		}
	}
	f.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "PERDURE_DATA=weather-data")
}

// run runs a command, and returns what it printed. What it puts into TOKEN is there for those that follow.
func (f *front) run(command string) string {
	f.t.Helper()
	var out, errOut bytes.Buffer
	const end = "\nThe token is "
	cmd := exec.CommandContext(f.t.Context(), "sh", "-ec", command+"\nprintf '"+end[1:]+"%s' \"$TOKEN\"")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = f.dir, f.env, &out, &errOut
	if err := cmd.Run(); err != nil {
		f.t.Fatalf("%s: %v\n%s%s", command, err, &out, &errOut)
	}
	printed, token, _ := strings.Cut("\n"+out.String(), end)
	f.env = append(f.env, "TOKEN="+token)
	return printed
}

// asCurl says that this program is curl.
const asCurl = "WEATHER_TEST_CURL"

func TestMain(m *testing.M) {
	if os.Getenv(asCurl) == "" {
		os.Exit(m.Run())
	}
	if err := curl(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// curl does what the guide uses of curl.
func curl(args []string) error {
	header, format, include, quiet := http.Header{}, "", false, false
	var address, body string
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-s":
		case "-si":
			include = true
		case "-o":
			i++
			quiet = true
		case "-w":
			i++
			format = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			if body = args[i]; strings.HasPrefix(body, "@") {
				text, err := os.ReadFile(body[1:])
				if err != nil {
					return err
				}
				body = string(text)
			}
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		default:
			if strings.HasPrefix(args[i], "-") {
				return fmt.Errorf("the test does not know curl %s", args[i])
			}
			address = "http://" + strings.TrimPrefix(args[i], "http://")
		}
	}
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if include {
		fmt.Println(res.Proto, res.Status)
		if err := res.Header.Write(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
	}
	to := io.Writer(os.Stdout)
	if quiet {
		to = io.Discard
	}
	if _, err := io.Copy(to, res.Body); err != nil {
		return err
	}
	fmt.Print(strings.NewReplacer("%{http_code}", strconv.Itoa(res.StatusCode), `\n`, "\n").Replace(format))
	return nil
}

// A user of Kong's ingress controller finds nothing wrong with the manifests.
func TestManifests(t *testing.T) {
	t.Parallel()
	for _, files := range [][]string{
		{"manifests"},
		{"manifests/ingress.yaml", "manifests/service.yaml", "manifests/rate-limiting.yaml", "manifests-oidc"},
	} {
		if c := gateway.Check(files); len(c.Problems) > 0 || c.Entities["routes"] != 2 || c.Entities["plugins"] != 2 {
			t.Errorf("%v: %v %v", files, c.Problems, c.Entities)
		}
	}
}

// The manifests that the guide shows are those of the example, or can be used in their place.
func TestManifestsOfGuide(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/guides/gateway-kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	var shipped []byte
	files, err := filepath.Glob("manifests*/*.yaml")
	for _, name := range files {
		text, readErr := os.ReadFile(name)
		shipped, err = append(shipped, text...), errors.Join(err, readErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := 0
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(page, -1) {
		if bytes.Contains(shipped, block[1]) {
			continue
		}
		other++
		file := filepath.Join(t.TempDir(), "service.yaml")
		if err := os.WriteFile(file, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		if c := gateway.Check([]string{"manifests/ingress.yaml", "manifests/jwt.yaml", "manifests/rate-limiting.yaml", file}); len(c.Problems) > 0 {
			t.Errorf("%s%v", block[1], c.Problems)
		}
	}
	if other != 1 {
		t.Errorf("%d blocks are not in the folder of the manifests", other)
	}
}
