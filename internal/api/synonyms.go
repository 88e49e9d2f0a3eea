package api

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Bounds of a tenant's synonyms: each question is held against every word.
const (
	maxSynonymGroups = 500
	maxSynonyms      = 20 // of a group
	maxSynonymRunes  = 40
)

// synonymBody is the body of PUT /api/v1/synonyms, and what GET returns.
type synonymBody struct {
	Synonyms kb.Synonyms `json:"synonyms"`
}

func (s *Server) synonymsGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	groups, err := t.Settings.Synonyms(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, synonymBody{append(kb.Synonyms{}, groups...)})
}

// synonymsPut replaces a tenant's synonyms.
func (s *Server) synonymsPut(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	var req synonymBody
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	if err := checkSynonyms(req.Synonyms); err != nil {
		return err
	}
	if err := t.Settings.PutSynonyms(r.Context(), req.Synonyms); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, synonymBody{append(kb.Synonyms{}, req.Synonyms...)})
}

// checkSynonyms trims the words of groups, and says which of them cannot be.
func checkSynonyms(groups kb.Synonyms) error {
	if groups == nil {
		return invalid("synonyms", "send a list of groups of words, such as [[\"warranty\",\"guarantee\"]]; an empty list removes them")
	}
	if len(groups) > maxSynonymGroups {
		return invalid("synonyms", "%d groups are too many; use at most %d", len(groups), maxSynonymGroups)
	}
	in := map[string]int{} // the group of each word, in small letters
	for i, g := range groups {
		if len(g) < 2 || len(g) > maxSynonyms {
			return invalid("synonyms", "group %d has %d words; use 2 to %d", i+1, len(g), maxSynonyms)
		}
		for j, w := range g {
			w = strings.TrimSpace(w)
			if n := utf8.RuneCountInString(w); n == 0 || n > maxSynonymRunes || strings.ContainsFunc(w, unicode.IsControl) {
				return invalid("synonyms", "word %d of group %d: use 1 to %d characters on one line", j+1, i+1, maxSynonymRunes)
			}
			key := strings.ToLower(w)
			switch first, known := in[key]; {
			case known && first == i:
				return invalid("synonyms", "word %d of group %d: %q is in the group already; take it out", j+1, i+1, w)
			case known:
				return invalid("synonyms", "word %d of group %d: %q is in group %d, too; put all words that mean the same into one group, or take it out of one of them", j+1, i+1, w, first+1)
			}
			in[key] = i
			g[j] = w
		}
	}
	return nil
}
