package internal_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/eino-qa/eino-qa/"

// own says which packages of ours each package may import (DESIGN §2: imports
// point one way). "*" is all. A package may stand here before it exists.
var own = map[string]string{
	"internal":    "", // the tests of the tree
	"internal/kb": "", // the vocabulary: the standard library only

	// Nouns that know nothing but the vocabulary.
	"internal/aside":               "",
	"internal/config":              "",
	"internal/redact":              "",
	"internal/telemetry":           "",
	"internal/telemetry/metrics":   "",
	"internal/telemetry/emf":       "",
	"internal/ratelimit":           "kb",
	"internal/auth":                "kb",
	"internal/parse":               "kb parse/pdf",
	"internal/parse/pdf":           "kb",
	"internal/chunk":               "kb",
	"internal/lexical":             "kb",
	"internal/intent":              "lexical",
	"internal/llm":                 "kb",
	"internal/llm/llmtest":         "",
	"internal/llm/llmtest/standin": "llm/llmtest",
	"internal/milvus":              "kb",
	"internal/vector":              "kb",
	"internal/milvus/milvustest":   "",
	"internal/console":             "",
	"internal/largepages":          "",

	// Storage, bottom up.
	"internal/objstore":              "kb",
	"internal/objstore/transport":    "",
	"internal/objstore/ranges":       "kb objstore",
	"internal/objstore/crypt":        "kb objstore",
	"internal/objstore/ossfake":      "",
	"internal/objstore/dir":          "kb largepages objstore",
	"internal/objstore/mem":          "kb objstore",
	"internal/objstore/s3":           "kb objstore objstore/ranges objstore/transport",
	"internal/objstore/oss":          "kb objstore objstore/ranges objstore/transport",
	"internal/objstore/objstoretest": "kb objstore",
	"internal/commitlog":             "kb objstore",
	"internal/commitlog/mutate":      "",
	"internal/logvfs":                "kb objstore commitlog",
	"internal/tenant":                "kb objstore commitlog logvfs",
	"internal/store":                 "kb tenant",

	// The work. These declare the interfaces they need; only app knows who
	// implements them.
	"internal/dense":    "kb vector",
	"internal/retrieve": "kb lexical chunk",
	"internal/ingest":   "kb parse chunk lexical objstore",
	"internal/chat":     "kb aside llm lexical chunk intent", // the words of answers are checked as they are searched
	"internal/backup":   "kb objstore commitlog",
	"internal/api":      "kb aside auth ratelimit telemetry",

	// What the smallest function is made of: no app, which links everything.
	"internal/storage": "kb config objstore objstore/dir objstore/s3 objstore/oss",
	"internal/health":  "kb api auth config objstore redact serverless/function storage telemetry telemetry/emf",

	// Measuring, and doubles for tests.
	"internal/evaluate":            "kb lexical retrieve chunk parse",
	"internal/evaluate/run":        "evaluate",
	"internal/evaluate/train":      "evaluate kb",
	"internal/intent/train":        "intent",
	"internal/intent/measure":      "chat evaluate intent kb",
	"internal/console/consoletest": "kb",
	"internal/e2e":                 "",

	// The shells.
	"internal/serverless":                 "kb serverless/aws serverless/early serverless/fc serverless/function",
	"internal/serverless/early":           "",
	"internal/serverless/aws":             "kb serverless/function",
	"internal/serverless/fc":              "kb serverless/function",
	"internal/serverless/function":        "kb aside",
	"internal/serverless/emulator":        "",
	"internal/serverless/pack":            "",
	"internal/serverless/coldbench":       "commitlog serverless/emulator",
	"internal/serverless/invoke":          "serverless/emulator",
	"internal/serverless/deploy":          "",
	"internal/serverless/internal/bare":   "",
	"internal/serverless/internal/testfn": "kb serverless serverless/function",
	"internal/app":                        "*",
	"local":                               "app config telemetry serverless",
	"functions/chat":                      "app config telemetry serverless",
	"functions/ingest":                    "app config telemetry serverless",
	"functions/admin":                     "app config telemetry serverless",
	"functions/backup":                    "app config telemetry serverless",
	"functions/health":                    "health config serverless",
}

// foreign says who may import the modules of others. A module that is not
// here is new: say who may import it, or do without it.
var foreign = map[string]string{
	"golang.org/x/":                       "*",
	"github.com/aliyun/":                  "objstore/oss serverless/fc",
	"github.com/aws/":                     "objstore/s3 serverless/aws serverless/internal/bare",
	"github.com/awslabs/":                 "serverless/aws",
	"github.com/caarlos0/env/":            "config",
	"github.com/chromedp/":                "console/consoletest",
	"github.com/cloudwego/":               "chat llm",
	"github.com/goccy/go-yaml":            "config",
	"github.com/google/go-cmp":            "objstore/objstoretest llm/llmtest",
	"github.com/kljensen/snowball":        "lexical",
	"github.com/ledongthuc/pdf":           "parse parse/pdf",
	"github.com/milvus-io/":               "milvus milvus/milvustest",
	"github.com/ncruces/go-sqlite3":       "logvfs store tenant",
	"github.com/pierrec/lz4/":             "commitlog",
	"github.com/prometheus/client_golang": "telemetry/metrics",
	"github.com/schollz/progressbar/":     "app",
	"github.com/superfly/ltx":             "commitlog logvfs backup",
	"github.com/xuri/excelize/":           "parse",
	"github.com/yuin/goldmark":            "parse",
	"google.golang.org/grpc":              "milvus milvus/milvustest",
	"google.golang.org/protobuf":          "milvus/milvustest",
}

// TestImports fails when a package imports one it must not know.
func TestImports(t *testing.T) {
	t.Parallel()
	for _, complaint := range complaints(list(t, `{{.ImportPath}} {{join .Imports " "}}`, module+"...")) {
		t.Error(complaint)
	}
}

// complaints holds lines of "package import import …" against the tables.
func complaints(lines []string) []string {
	var found []string
	for _, line := range lines {
		f := strings.Fields(line)
		pkg := strings.TrimPrefix(f[0], module)
		if pkg == "internal" {
			continue // tests, and for now the modules that later packages need
		}
		allowed, known := own[pkg]
		if !known {
			found = append(found, pkg+": new package; say in the table what it may import")
			continue
		}
		for _, imp := range f[1:] {
			if c := complaint(pkg, allowed, imp); c != "" {
				found = append(found, c)
			}
		}
	}
	return found
}

func complaint(pkg, allowed, imp string) string {
	short := strings.TrimPrefix(pkg, "internal/")
	if path, ok := strings.CutPrefix(imp, module); ok {
		if allowed == "*" || lists(allowed, strings.TrimPrefix(path, "internal/")) {
			return ""
		}
		return pkg + " imports " + path
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for prefix, who := range foreign {
		if strings.HasPrefix(imp, prefix) {
			if who == "*" || lists(who, short) {
				return ""
			}
			return pkg + " imports " + imp + ", which is for " + who
		}
	}
	return pkg + " imports " + imp + ": new module; say in the table who may import it"
}

func lists(words, word string) bool { return slices.Contains(strings.Fields(words), word) }

// TestTheTablesCatch plants what must be caught.
func TestTheTablesCatch(t *testing.T) {
	t.Parallel()
	got := complaints([]string{
		module + "internal/kb errors " + module + "internal/config",
		module + "internal/api net/http " + module + "internal/kb " + module + "internal/store",
		module + "internal/new fmt",
		module + "internal/store github.com/ncruces/go-sqlite3 github.com/aws/aws-sdk-go-v2/aws",
		module + "internal/retrieve example.com/new golang.org/x/text/unicode/norm",
		module + "internal/app " + module + "internal/store " + module + "internal/api",
	})
	want := []string{
		"internal/kb imports internal/config",
		"internal/api imports internal/store",
		"internal/new: new package; say in the table what it may import",
		"internal/store imports github.com/aws/aws-sdk-go-v2/aws, which is for objstore/s3 serverless/aws serverless/internal/bare",
		"internal/retrieve imports example.com/new: new module; say in the table who may import it",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
}

// links says what each function must not link, under the tags that the
// Makefile builds it with: what it does not run costs every cold start.
var links = map[string]struct{ tags, not string }{
	"health": {"function", "internal/app internal/tenant github.com/cloudwego/ github.com/milvus-io/ github.com/ncruces/ google.golang.org/grpc github.com/bytedance/sonic github.com/prometheus/ github.com/xuri/"},
	"chat":   {"function,noingest,grpcnotrace", "internal/parse internal/ingest internal/evaluate github.com/xuri/ github.com/yuin/goldmark github.com/schollz/ html/template golang.org/x/net/trace google.golang.org/protobuf/reflect/protodesc"},
	"admin":  {"function,nochat,novectors", "internal/chat internal/llm internal/evaluate github.com/cloudwego/ github.com/bytedance/sonic github.com/milvus-io/ github.com/schollz/"},
	"ingest": {"function,nochat,grpcnotrace", "internal/chat internal/evaluate github.com/cloudwego/ github.com/bytedance/sonic github.com/schollz/ text/template golang.org/x/net/trace google.golang.org/protobuf/reflect/protodesc"},
	"backup": {"function,nochat,noingest,novectors", "internal/chat internal/llm internal/dense github.com/milvus-io/ internal/parse internal/ingest internal/evaluate github.com/cloudwego/ github.com/bytedance/sonic github.com/xuri/ github.com/schollz/"},
}

// TestFunctionsLinkWhatTheyRun: functions start in milliseconds because of
// what they do not link.
func TestFunctionsLinkWhatTheyRun(t *testing.T) {
	t.Parallel()
	for name, l := range links {
		makefile, err := os.ReadFile("../Makefile")
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^tags_` + name + ` +:= ` + l.tags + `$`).Match(makefile) {
			t.Errorf("the Makefile builds functions/%s with other tags than %s", name, l.tags)
		}
		deps := list(t, `{{join .Deps "\n"}}`, module+"functions/"+name, "-tags=lambda.norpc,"+l.tags)
		if !slices.Contains(deps, module+"internal/serverless") {
			t.Errorf("functions/%s: what it links is not known: %v", name, deps)
		}
		for _, dep := range deps {
			short := strings.TrimPrefix(dep, module)
			for not := range strings.FieldsSeq(l.not) {
				if short == not || strings.HasPrefix(short+"/", strings.TrimSuffix(not, "/")+"/") {
					t.Errorf("functions/%s links %s", name, dep)
				}
			}
		}
	}
}

// list runs go list. -e, because a package that does not compile says so
// elsewhere.
func list(t *testing.T, format, pattern string, flags ...string) []string {
	t.Helper()
	args := append([]string{"list", "-e", "-f", format}, flags...)
	out, err := exec.CommandContext(t.Context(), "go", append(args, pattern)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
