package dir_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
)

var (
	writerRoot = flag.String("writer", "", "internal: be a writer into this folder until killed")
	writerName = flag.String("name", "", "internal: the writer's name")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *writerRoot != "" {
		write(*writerRoot, *writerName)
	}
	os.Exit(m.Run())
}

// body of an object: long, and different for every writer and key.
func body(name, key string) string { return strings.Repeat(name+" wrote "+key+"\n", 3000) }

// write races for one slot after the other and says on stdout which it won.
func write(root, name string) {
	b, err := dir.Open(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("t/%d/%06d", i%2, i)
		if _, err := b.Create(context.Background(), key, strings.NewReader(body(name, key))); err == nil {
			os.Stdout.WriteString("won " + key + "\n")
		}
	}
}

func TestKilledWritersLoseNothingTheySaidTheyWon(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	wins := map[string]string{}
	for round := range 4 {
		var procs []*exec.Cmd
		var outs []*bytes.Buffer
		for w := range 3 {
			cmd := exec.Command(os.Args[0], "-writer", root, "-name", fmt.Sprintf("writer-%d-%d", round, w))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			procs, outs = append(procs, cmd), append(outs, &out)
		}
		time.Sleep(time.Duration(250+61*round) * time.Millisecond)
		for i, cmd := range procs {
			cmd.Process.Kill()
			cmd.Wait()
			for lines := bufio.NewScanner(outs[i]); lines.Scan(); {
				key, ok := strings.CutPrefix(lines.Text(), "won ")
				if !ok {
					continue
				}
				name := fmt.Sprintf("writer-%d-%d", round, i)
				if other := wins[key]; other != "" {
					t.Errorf("%s was won by %s and %s", key, other, name)
				}
				wins[key] = name
			}
		}
	}
	if len(wins) < 20 {
		t.Fatalf("only %d objects were written", len(wins))
	}
	b, err := dir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for key, name := range wins {
		if got, _, err := b.Get(t.Context(), key); err != nil || string(got) != body(name, key) {
			t.Errorf("Get(%s) = %d bytes, %v, want what %s wrote", key, len(got), err, name)
		}
	}
	infos := everything(t, b)
	for _, info := range infos { // also what was won and not told: whole, or not there
		got, _, err := b.Get(t.Context(), info.Key)
		name, _, _ := strings.Cut(string(got), " ")
		if err != nil || string(got) != body(name, info.Key) {
			t.Errorf("%s is %d bytes of %q, %v", info.Key, len(got), name, err)
		}
	}
	t.Logf("%d objects, %d acknowledged, 12 kills", len(infos), len(wins))
}

func everything(t *testing.T, b objstore.Bucket) []objstore.Info {
	t.Helper()
	var all []objstore.Info
	for after, more := "", true; more; {
		infos, m, err := b.List(t.Context(), "", after, 0)
		if err != nil {
			t.Fatal(err)
		}
		all, more = append(all, infos...), m
		if m {
			after = infos[len(infos)-1].Key
		}
	}
	return all
}
