package auth

import "time"

// Forget makes the next check read the keys again: this process changed them.
func (k *Keys) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = time.Time{}
}
