package config

import "strings"

// Feature is one line of the banner: what works, and the setting that turns
// it on.
type Feature struct {
	Name    string // "store", "chat model", …
	On      bool
	Detail  string // what it is, or what happens without it
	Setting string // environment variable that turns it on or chooses it
}

// Features lists store, models, Milvus and cache.
func (c Config) Features() []Feature {
	d := c.DashScope
	host := hostOf(d.BaseURL)
	model := func(name, setting, without string, on bool, model string) Feature {
		f := Feature{Name: name, On: on, Setting: "DASHSCOPE_API_KEY", Detail: without}
		switch {
		case on:
			f.Detail, f.Setting = model+" at "+host, setting
		case d.Models():
			f.Setting = setting
		case setting == "DASHSCOPE_RERANK_MODEL":
			f.Setting = "DASHSCOPE_API_KEY, DASHSCOPE_RERANK_MODEL" // off by default, so the key alone does nothing
		}
		return f
	}
	return []Feature{
		{Name: "store", On: true, Detail: c.storeDetail(), Setting: "STORAGE_URL"},
		model("chat model", "DASHSCOPE_CHAT_MODEL", "answers are quoted sentences", d.Chat(), d.ChatModel),
		model("embedding model", "DASHSCOPE_EMBED_MODEL", "search by words only", d.Embed(), d.EmbedModel),
		model("rerank model", "DASHSCOPE_RERANK_MODEL", "results in the order of the search", d.Rerank(), d.RerankModel),
		c.milvusFeature(),
		c.cacheFeature(),
	}
}

func (c Config) storeDetail() string {
	if c.Storage.URL == "" {
		return "folder " + c.Database.BasePath
	}
	where, _, _ := strings.Cut(c.Storage.URL, "?")
	return where
}

func (c Config) milvusFeature() Feature {
	f := Feature{Name: "milvus", On: c.Milvus.Enabled(), Setting: "MILVUS_HOST", Detail: "vectors are searched in this process"}
	switch {
	case f.On && !c.DashScope.Embed():
		f.Detail = c.Milvus.Address() + ", idle without an embedding model"
	case f.On:
		f.Detail = c.Milvus.Address()
	}
	return f
}

func (c Config) cacheFeature() Feature {
	f := Feature{Name: "cache", On: c.Cache.Enabled, Setting: "CACHE_ENABLED", Detail: "every answer is computed"}
	switch {
	case f.On && c.Cache.Type == "redis":
		f.Detail = "redis at " + c.Cache.Redis.Address() + ", " + showDuration(c.Cache.TTL)
		f.Setting = "CACHE_TYPE"
	case f.On:
		f.Detail = "memory, " + c.Cache.MaxSize.String() + ", " + showDuration(c.Cache.TTL)
	}
	return f
}

// hostOf is the host of a URL that was checked.
func hostOf(rawURL string) string {
	_, rest, _ := strings.Cut(rawURL, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
