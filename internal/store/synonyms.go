package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// synonymSetting is the setting that holds a tenant's synonyms, as JSON.
const synonymSetting = "synonyms"

// Synonyms returns the groups of words that mean the same, in the order they
// were put.
func (s *Store) Synonyms(ctx context.Context) (groups kb.Synonyms, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		groups, err = synonyms(c)
		return err
	})
	return groups, err
}

func synonyms(c *tenant.Conn) (groups kb.Synonyms, err error) {
	text, err := setting(c, synonymSetting)
	if err != nil || text == "" {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &groups); err != nil {
		return nil, fmt.Errorf("read synonyms: %w", err)
	}
	return groups, nil
}

// PutSynonyms puts groups in the place of those that were. It counts as a
// change of the knowledge base: what is found may be different.
func (s *Store) PutSynonyms(ctx context.Context, groups kb.Synonyms) error {
	text := ""
	if len(groups) > 0 {
		data, err := json.Marshal(groups)
		if err != nil {
			return err
		}
		text = string(data)
	}
	return s.commit(ctx, func(c *tenant.Conn) error {
		old, err := synonyms(c)
		if err != nil || slices.EqualFunc(old, groups, slices.Equal) {
			return err
		}
		if err := putSetting(c, synonymSetting, text); err != nil {
			return err
		}
		return bump(c)
	})
}
