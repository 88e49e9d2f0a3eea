package intent

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// The kinds of features. Each kind is a vector of length one of its own, so
// that the many n-grams of letters do not drown the few words.
const (
	words   = iota // words, pairs of words, Han unigrams to trigrams, the shape of the message
	letters        // n-grams of letters within words: typos and endings
	kinds
)

// share is what each kind counts: words say most. Chosen on a held-out fifth
// of the training parts of BANKING77 and CLINC150; see docs/intent.md.
var share = [kinds]float32{1, 0.9}

// maxFolded bounds the bytes that are read: what a message wants, it says at
// its beginning or at its end.
const maxFolded = 600

// feature is one hashed feature of a text and how strongly it has it.
type feature struct {
	hash  uint32
	kind  uint8
	value float32
}

// vector returns the features of a text: 1 + ln of how often it has them, each
// kind as long as its share. Each hash is there once, in rising order.
func vector(text string) []feature {
	r := reader{out: make([]feature, 0, 256)}
	r.read(ends(lexical.Fold(text)))
	slices.SortFunc(r.out, func(a, b feature) int { return cmp.Compare(a.hash, b.hash) })
	out, square := r.out[:0], [kinds]float32{}
	for i := 0; i < len(r.out); {
		j := i
		for j < len(r.out) && r.out[j].hash == r.out[i].hash {
			j++
		}
		f := r.out[i]
		f.value = 1
		if n := j - i; n > 1 {
			f.value += float32(math.Log(float64(n)))
		}
		out = append(out, f)
		square[f.kind] += f.value * f.value
		i = j
	}
	for i := range out {
		k := out[i].kind
		out[i].value *= share[k] / float32(math.Sqrt(float64(square[k])))
	}
	return out
}

// ends cuts a long text to its two ends.
func ends(s string) string {
	if len(s) <= maxFolded {
		return s
	}
	return strings.ToValidUTF8(s[:maxFolded/2], "") + " … " + strings.ToValidUTF8(s[len(s)-maxFolded/2:], "")
}

// reader walks over a folded text.
type reader struct {
	out  []feature
	prev string // the word before, "^" at the beginning
}

func (r *reader) add(kind uint8, parts ...string) {
	r.out = append(r.out, feature{hash: hashOf(kind, parts...), kind: kind})
}

// hashOf is FNV-1a over the parts and a byte between them, then mixed, since
// its upper bits choose the bucket.
func hashOf(kind uint8, parts ...string) uint32 {
	h := uint32(2166136261) ^ uint32(kind)
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint32(p[i])) * 16777619
		}
		h = (h ^ 0xFF) * 16777619
	}
	h ^= h >> 15
	return h * 0x2C1B3C6D
}

func (r *reader) read(text string) {
	r.prev = "^"
	hans, count := []rune{'^'}, 0
	flush := func() {
		if len(hans) > 1 {
			r.han(append(hans, '$'))
		}
		hans = hans[:1]
	}
	var word []rune
	end := func() {
		if len(word) > 0 {
			r.word(string(word))
			count++
		}
		word = word[:0]
	}
	for _, c := range squeeze(text) {
		switch {
		case isHan(c):
			end()
			hans = append(hans, c)
			count++
		case unicode.IsLetter(c) || unicode.IsNumber(c):
			flush()
			word = append(word, c)
		case c == '\'' || c == '’': // don't is one word
		default:
			end()
			if unicode.IsPunct(c) {
				flush()
			}
			if c == '?' {
				r.add(words, "?")
			}
		}
	}
	end()
	flush()
	r.add(words, "pair", r.prev, "$")
	r.add(words, "long", string(rune('0'+min(9, int(math.Log2(float64(1+count)))))))
}

// squeeze writes hellooooo as helloo: what is there more than twice in a row
// says nothing. Digits stay.
func squeeze(s string) string {
	var before, last rune
	return strings.Map(func(c rune) rune {
		if again := c == last; again && last == before && !unicode.IsNumber(c) {
			return -1
		}
		before, last = last, c
		return c
	}, s)
}

// isHan reports what is written without spaces.
func isHan(c rune) bool {
	return c >= 0x2E80 && (unicode.Is(unicode.Han, c) || unicode.In(c, unicode.Hiragana, unicode.Katakana, unicode.Hangul))
}

// han adds a run of Han characters between its two ends.
func (r *reader) han(run []rune) {
	for i := range run {
		for n := 1; n <= 3 && i+n <= len(run); n++ {
			if n == 1 && (i == 0 || i == len(run)-1) {
				continue
			}
			r.add(words, string(run[i:i+n]))
		}
	}
}

// word adds one word, its pair with the one before, and its letters. Numbers
// are told by their length only.
func (r *reader) word(w string) {
	if digits := strings.Count(numbers(w), "0"); digits > 0 {
		w = "0"
		if digits > 4 {
			w = "00000"
		}
		r.add(words, w)
		r.add(words, "pair", r.prev, w)
		r.prev = w
		return
	}
	r.add(words, w)
	r.add(words, "pair", r.prev, w)
	r.prev = w
	const least, most = 3, 5 // letters of an n-gram
	padded := []rune("_" + w + "_")
	if len(padded) > 34 {
		padded = padded[:34]
	}
	for i := range padded {
		for n := least; n <= most && i+n <= len(padded); n++ {
			r.add(letters, string(padded[i:i+n]))
		}
	}
}

func numbers(w string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsNumber(c) {
			return '0'
		}
		return 'x'
	}, w)
}
