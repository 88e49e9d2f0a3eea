package objstoretest

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the server also when the test process is killed. (The
// kernel means the thread that started it, which the runtime keeps.)
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
