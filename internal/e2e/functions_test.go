package e2e

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

// onFolder is a cloud on a folder.
func onFolder(t *testing.T, platform string) *walk {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the functions")
	}
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, platform: platform, bin: dir, bucket: "folder"}
	c.trips, c.calls = map[string]trip{}, map[string]call{}
	c.env = map[string]string{
		"SERVER_MODE": "release", "ROOT_KEY": functionKey, "TENANTS_PUBLIC_CHAT": "on", "DATABASE_BASE_PATH": filepath.Join(t.TempDir(), "db"),
		"RATE_LIMIT_PUBLIC_PER_MINUTE": "0",
	}
	return &walk{cloud: c}
}

// inbox lists what waits, by names from the inbox on.
func (w *walk) inbox() (names []string) {
	w.t.Helper()
	root := filepath.Join(w.env["DATABASE_BASE_PATH"], "inbox")
	found, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range found {
		rel, _ := filepath.Rel(root, f)
		names = append(names, filepath.ToSlash(rel))
	}
	return names
}

func TestEventsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	sub := w.must(202, "POST", "/api/v1/documents", map[string]string{"title": "保修", "text": "台灯保修 24 个月。"})
	job := sub["job_id"].(string)
	other := w.must(202, "POST", "/api/v1/documents?tenant=bank", map[string]string{"title": "bank", "text": "Vaults open at nine."})
	for what, event := range map[string][]byte{
		"a key that names another tenant": emulator.S3Created("b", "inbox/bank/"+job, 1),
		"a key without a job":             emulator.S3Created("b", "inbox/default/job_nobody", 1),
		"a key of a tenant that is not":   emulator.S3Created("b", "inbox/nobody/"+job, 1),
		"a key that is no tenant's":       emulator.S3Created("b", "inbox/_control/"+job, 1),
		"a key outside of the inbox":      emulator.S3Created("b", "t/default/"+job, 1),
		"a path that climbs":              emulator.S3Created("b", "inbox/../t/x", 1),
		"an event of nobody":              []byte(`{"hello":"world"}`),
		"half an event":                   []byte(`{"Records":[{"eventSource":"aws:s3"`),
		"a bad escape":                    []byte(`{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"object":{"key":"inbox/%zz"}}}]}`),
	} {
		if err := w.call("ingest", event); err == nil {
			t.Errorf("%s: no error, so nobody would ever see it", what)
		}
	}
	if j := w.must(200, "GET", "/api/v1/jobs/"+job, nil); j["status"] != "pending" {
		t.Errorf("the job is %v, want it untouched", j["status"])
	}
	w.ready(job) // the process lives on
	if j := w.must(200, "GET", "/api/v1/jobs/"+other["job_id"].(string)+"?tenant=bank", nil); j["status"] != "pending" {
		t.Errorf("the other tenant's job is %v, want it untouched", j["status"])
	}
}

func TestIngestOutOfTimeIsContinued(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	text := strings.Repeat("The warehouse of the harbour keeps ropes, sails and lanterns for every ship.\n\n", 20_000)
	sub := w.must(202, "POST", "/api/v1/documents", map[string]string{"title": "Warehouse", "text": text})
	job := sub["job_id"].(string)
	l, _ := w.lambda(emulator.HTTPv2, w.options("ingest"))
	warm, err := l.Invoke(t.Context(), emulator.Schedule("sweep", time.Now())) // so that the start takes no time of it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := warm.Whole(); err != nil {
		t.Fatal(err)
	}
	for left := 40 * time.Millisecond; ; left *= 2 {
		rep, err := l.InvokeUntil(t.Context(), emulator.S3Created("b", "inbox/default/"+job, 1), time.Now().Add(left))
		if err == nil {
			_, err = rep.Whole()
		}
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "has passed") { // a slow machine
			t.Fatalf("out of time: %v, want it acknowledged: the mark is the next event", err)
		}
	}
	names := w.inbox()
	i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, job+".more-") })
	if i < 0 {
		t.Fatalf("the inbox holds %v, want a mark that asks for another try; the function said:\n%s", names, l.Output())
	}
	if err := w.created("inbox/" + names[i]); err != nil {
		t.Fatal(err)
	}
	if j := w.must(200, "GET", "/api/v1/jobs/"+job, nil); j["status"] != "ready" {
		t.Errorf("the job is %v %v after its second try", j["status"], j["error"])
	}
	if names := w.inbox(); len(names) != 0 {
		t.Errorf("the inbox still holds %v", names)
	}
}

func TestLogsOfFunctions(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	w.env["LOGGING_LEVEL"] = "debug"
	w.must(200, "GET", "/api/v1/documents", nil)
	l, gate := w.lambda(emulator.HTTPv2, w.options("chat"))
	const secret = "台灯的密码箱在哪里"
	r, err := send(gate, "POST", "/chat", strings.NewReader(`{"query":"`+secret+`"}`))
	if err != nil || r.status != 200 {
		t.Fatalf("%d %s %v", r.status, r.body, err)
	}
	// The answer is out before the line about it, and the pipe of the log has
	// its own pace.
	id := r.header.Get("X-Request-Id")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !strings.Contains(l.Output(), "answers_total"); {
		time.Sleep(10 * time.Millisecond)
	}
	said := l.Output()
	if strings.Contains(said, secret) || strings.Contains(said, functionKey) {
		t.Errorf("a question or a key is in the log:\n%s", said)
	}
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line that is no JSON: %s", line)
		}
	}
	if id == "" || !strings.Contains(said, `"trace_id":"`+id+`"`) || !strings.Contains(said, `"tenant":"default"`) {
		t.Errorf("no line with request %q and its tenant:\n%s", id, said)
	}
	for _, name := range []string{"_aws", "http_requests_total", "answers_total"} {
		if !strings.Contains(said, name) {
			t.Errorf("metrics lack %s:\n%s", name, said)
		}
	}
}

// initBudget is how many bytes the packages of each function may allocate
// before main, and how large it may be: as measured in November 2026, and a
// tenth more. Time is not held: it is another's machine. One that grew by half
// calls methods by name (docs/adr/0005-what-nobody-calls-is-not-linked.md).
var initBudget = map[string]struct{ alloc, size int64 }{
	"health": {320 << 10, 13 << 20},
	"backup": {330 << 10, 18 << 20},
	"admin":  {2500 << 10, 23 << 20},
	"ingest": {3000 << 10, 27 << 20},
	"chat":   {1000 << 10, 28 << 20},
}

func TestInitBudget(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	w.must(200, "GET", "/api/v1/documents", nil) // prepares the store
	for _, name := range slices.Sorted(maps.Keys(initBudget)) {
		env := maps.Clone(w.env)
		env["GODEBUG"] = "inittrace=1"
		target := emulator.ColdTarget{Name: name, Binary: filepath.Join(w.bin, name), On: "rest", Path: "/health/live", Env: env}
		if task := map[string]string{"ingest": "sweep", "backup": "backup"}[name]; task != "" {
			target.On, target.Body = "event", `{"qa":"`+task+`"}`
		}
		run, err := target.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		inits := emulator.InitTrace(run.Output)
		var sum int64
		for _, i := range inits {
			sum += i.Bytes
			if i.Clock > 500*time.Microsecond {
				t.Logf("%s: init of %s takes %v, %d bytes", name, i.Package, i.Clock, i.Bytes)
			}
		}
		if most := initBudget[name].alloc; len(inits) < 10 || sum > most {
			t.Errorf("%s: %d packages allocate %d bytes before main, want at most %d", name, len(inits), sum, most)
		}
		info, err := os.Stat(target.Binary)
		if err != nil {
			t.Fatal(err)
		}
		if most := initBudget[name].size; info.Size() > most {
			t.Errorf("%s: %d bytes, want at most %d", name, info.Size(), most)
		}
	}
}

// TestPackagesAreReproducible: the same source makes the same zip, wherever
// and whenever.
func TestPackagesAreReproducible(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	tags, err := functionTags()
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "health")
	if err := emulator.Build(t.Context(), "github.com/eino-qa/eino-qa/functions/health", again, tags["health"]...); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(w.bin, "health"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("two builds of one source differ: %d and %d bytes", len(first), len(second))
	}
}
