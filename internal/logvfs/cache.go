package logvfs

import (
	"slices"
	"sync"
)

// Cache bounds the pages in memory over any number of databases. It evicts by
// the clock algorithm: a page that was read since the hand last passed stays.
// An evicted page is read again from the store when it is needed.
type Cache struct {
	budget int64

	mu    sync.Mutex
	bytes int64
	ring  []*page
	hand  int
}

// NewCache returns a cache of at most budget bytes of pages.
func NewCache(budget int64) *Cache { return &Cache{budget: budget} }

// pageBytes is what a cached page costs: its buffer and its page struct.
const pageBytes = 4096 + 64

// Bytes returns how much the pages in memory take.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// add takes pages into the budget; their buffers are set already.
func (c *Cache) add(pages ...*page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range pages {
		if !p.ring {
			p.ring = true
			c.ring = append(c.ring, p)
			c.bytes += pageBytes
		}
		p.used.Store(true)
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
	p := c.ring[c.hand]
	if p.buf.Load() != nil && p.used.Swap(false) {
		c.hand++
		return
	}
	c.drop(c.hand)
}

func (c *Cache) drop(i int) {
	p := c.ring[i]
	p.buf.Store(nil) // a reader that has the buffer keeps it
	p.ring = false
	last := len(c.ring) - 1
	c.ring[i], c.ring[last] = c.ring[last], nil
	c.ring = c.ring[:last]
	c.bytes -= pageBytes
}

// room reports whether n more pages fit without evicting others.
func (c *Cache) room(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes+int64(n)*pageBytes <= c.budget
}

// forget drops the pages of t: their database is closed.
func (c *Cache) forget(t table) {
	dead := make(map[*page]bool)
	t.all(func(p *page) { dead[p] = true })
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, v := range slices.Backward(c.ring) {
		if dead[v] {
			c.drop(i)
		}
	}
	c.hand = 0
}
