package emulator

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listens is the TCP port that the process listens on, 0 while it does not
// (proc(5): its sockets are in fd, the network's in net/tcp and net/tcp6).
func (in *Instance) listens() int {
	dir := fmt.Sprintf("/proc/%d/", in.Pid())
	fds, err := filepath.Glob(dir + "fd/*")
	if err != nil {
		return 0
	}
	own := map[string]bool{}
	for _, fd := range fds {
		to, _ := os.Readlink(fd) // "socket:[inode]"; it may be closed by now
		if inode, is := strings.CutPrefix(to, "socket:["); is {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		b, err := os.ReadFile(dir + table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line) // sl local_address rem_address st … inode is the tenth
			const listening = "0A"
			if len(f) < 10 || f[3] != listening || !own[f[9]] {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				return int(port)
			}
		}
	}
	return 0
}
