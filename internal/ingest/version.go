package ingest

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/parse"
)

// maxNamesakes bounds the documents of one name that a new text is compared
// with.
const maxNamesakes = 50

// related is the least share of word pairs, of the text that has fewer, that
// two versions of one document have in common. Measured on DRCD dev, whose
// 1,000 articles have 383 titles: two articles of one title share .06 (median)
// to .41 (most); a sentence with one fact changed shares about .75.
const related = 0.5

// predecessor returns the document that a file of this name is a new version
// of, "" if it is a document of its own.
func (in *Ingester) predecessor(ctx context.Context, name string, text kb.Text) (kb.DocumentID, error) {
	namesakes, err := in.store.Named(ctx, name, maxNamesakes)
	if err != nil || len(namesakes) == 0 {
		return "", err
	}
	mine := pairs(text.Body)
	best, bestShare := kb.DocumentID(""), related
	for _, n := range namesakes {
		body, err := in.bodyOf(ctx, n)
		if err != nil {
			return "", err
		}
		if s := share(mine, pairs(body)); s >= bestShare {
			best, bestShare = n.Document, s
		}
	}
	return best, nil
}

// bodyOf is the text of a job's version, be it ready or still on its way; ""
// when there is none to compare with.
func (in *Ingester) bodyOf(ctx context.Context, job kb.Job) (string, error) {
	switch job.Status {
	case kb.Failed:
		return "", nil
	case kb.Ready:
		t, err := in.store.Text(ctx, job.Document, job.Version)
		if kb.KindOf(err) == kb.NotFound { // deleted since
			return "", nil
		}
		return t.Body, err
	}
	data, _, err := in.bucket.Get(ctx, inboxKey(in.tenant, job.ID))
	if errors.Is(err, objstore.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", kb.E(kb.Unavailable, err, "the file could not be stored; send it again")
	}
	within, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	t, _, err := parse.Parse(within, job.Name, job.MIME, data)
	if err != nil {
		return "", nil // its job will say so
	}
	return t.Body, nil
}

// maxPairs bounds the comparison: the beginning of a document tells enough.
const maxPairs = 20_000

// pairs is the set of neighbouring words of s; a Han character is a word.
func pairs(s string) map[string]bool {
	set := map[string]bool{}
	last := ""
	add := func(w string) {
		set[last+" "+w] = true
		last = w
	}
	start := -1
	for i, r := range s {
		han := unicode.Is(unicode.Han, r)
		if word := !han && (unicode.IsLetter(r) || unicode.IsNumber(r)); word {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			add(strings.ToLower(s[start:i]))
			start = -1
		}
		if han {
			add(string(r))
		}
		if len(set) >= maxPairs {
			return set
		}
	}
	if start >= 0 {
		add(strings.ToLower(s[start:]))
	}
	return set
}

// share is the part of the smaller set that the other has too.
func share(a, b map[string]bool) float64 {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 {
		return 0
	}
	n := 0
	for p := range a {
		if b[p] {
			n++
		}
	}
	return float64(n) / float64(len(a))
}
