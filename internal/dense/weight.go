package dense

// Weight is the part of the cosine in the fused score that suits a model, 0 if
// it was not measured: retrieval then has its own default.
func Weight(model string) float32 { return 0 }
