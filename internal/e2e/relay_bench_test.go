package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// relayTo is the environment variable that makes this program a bare relay to
// the model it names.
const relayTo = "E2E_RELAY_TO"

// relay is the least that a program between customer and model does: it passes
// on what comes as it comes, read and written by net/http. What ours costs is
// told beside it.
func relay(model string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000, DisableCompression: true, ForceAttemptHTTP2: true}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, model, r.Body)
		if err != nil {
			panic(err)
		}
		res, err := client.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		rc := http.NewResponseController(w)
		for buf := make([]byte, 1024); err == nil; {
			var n int
			n, err = res.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = rc.Flush()
		}
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stdout, "serving on http://%s\n", l.Addr())
	panic(http.Serve(l, mux))
}

// startRelay runs the bare relay in a process of its own.
func startRelay(b *testing.B, model string, env ...string) *server {
	b.Helper()
	s := &server{t: b, out: new(output)}
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(append(os.Environ(), relayTo+"="+model), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.kill)
	s.wait(20*time.Second, "serving", func() bool { return strings.HasSuffix(s.out.String(), "\n") })
	s.url = strings.TrimSpace(strings.TrimPrefix(s.out.String(), "serving on "))
	return s
}

// spent is the processor time that the server has taken so far, in clock ticks
// of 10 ms (proc(5), fields 14 and 15).
func (s *server) spent() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var user, system int64
	_, _ = fmt.Sscan(strings.Join(strings.Fields(rest)[11:13], " "), &user, &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}
