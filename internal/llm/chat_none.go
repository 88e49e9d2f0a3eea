//go:build nochat

package llm

// chatModel stands for the part that this build was made without: eino, which
// embedding and reranking do not need.
type chatModel struct{}

func newChatModel(*Client) *chatModel { return &chatModel{} }
