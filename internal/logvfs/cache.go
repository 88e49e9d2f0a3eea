package logvfs

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Cache bounds what is in memory over any number of databases: pages, and
// files as they were read. It evicts by the clock algorithm: what was used
// since the hand last passed stays. What was evicted is read again from the
// store when it is needed.
type Cache struct {
	budget int64

	mu    sync.Mutex
	bytes int64
	ring  []cached
	hand  int
}

// cached is a page or a file.
type cached interface {
	size() int64 // in bytes; it does not change
	drop()       // gives them back
	at() *place
}

// place is what the cache knows of one thing.
type place struct {
	used atomic.Bool // since the cache's hand last passed
	ring bool        // in the cache's ring; guarded by Cache.mu
}

func (p *place) at() *place { return p }

// use keeps it from being evicted by the next pass of the hand.
func (p *place) use() {
	if !p.used.Load() { // storing would take the cache line from other readers
		p.used.Store(true)
	}
}

// NewCache returns a cache of at most budget bytes of pages.
func NewCache(budget int64) *Cache { return &Cache{budget: budget} }

// pageBytes is what a cached page costs: its buffer and its page struct.
const pageBytes = 4096 + 64

// Bytes returns how much is in memory.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// add takes things into the budget; their content is set already.
func (c *Cache) add(things ...cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range things {
		at := t.at()
		if !at.ring {
			at.ring = true
			c.ring = append(c.ring, t)
			c.bytes += t.size()
		}
		at.used.Store(true)
	}
	for c.bytes > c.budget && len(c.ring) > 0 {
		c.step()
	}
}

// step moves the hand by one and evicts what was not used.
func (c *Cache) step() {
	if c.hand >= len(c.ring) {
		c.hand = 0
	}
	if c.ring[c.hand].at().used.Swap(false) {
		c.hand++
		return
	}
	c.drop(c.hand)
}

func (c *Cache) drop(i int) {
	t := c.ring[i]
	t.drop()
	t.at().ring = false
	last := len(c.ring) - 1
	c.ring[i], c.ring[last] = c.ring[last], nil
	c.ring = c.ring[:last]
	c.bytes -= t.size()
}

// room reports whether n more pages fit without evicting others.
func (c *Cache) room(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes+int64(n)*pageBytes <= c.budget
}

// forget drops the pages of t and their files: their database is closed.
func (c *Cache) forget(t table) {
	dead := make(map[cached]bool)
	t.all(func(p *page) { dead[p], dead[p.loc.Load().file] = true, true })
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, v := range slices.Backward(c.ring) {
		if dead[v] {
			c.drop(i)
		}
	}
	c.hand = 0
}
