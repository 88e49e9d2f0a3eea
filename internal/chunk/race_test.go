//go:build race

package chunk

// slowdown is how much smaller the inputs of timed tests are: the race
// detector costs about as much.
const slowdown = 10
