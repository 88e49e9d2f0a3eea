package llmtest

import (
	"encoding/json"
	"net/http"
)

// requestID is the id of every answer; the provider's are random.
const requestID = "7d3a1e50-6d2c-9f1e-8f6b-0c5a7b9e4d21"

// nativeRerank is the path of DashScope's own rerank interface.
const nativeRerank = "/api/v1/services/rerank/text-rerank/text-rerank"

// apiError is a failure in the provider's words.
type apiError struct {
	status              int
	code, kind, message string
}

// writeError writes the compatible mode's error object: facts §4, "Errors".
func writeError(w http.ResponseWriter, e *apiError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error":      map[string]any{"code": e.code, "param": nil, "message": e.message, "type": e.kind},
		"id":         "chatcmpl-" + requestID,
		"request_id": requestID,
	})
}

func badKey() *apiError {
	return &apiError{
		http.StatusUnauthorized, "invalid_api_key", "invalid_request_error",
		"Incorrect API key provided. For details, see the provider's error code page.",
	}
}

func notFoundPath() *apiError {
	return &apiError{http.StatusNotFound, "NotFound", "invalid_request_error", "Not Found"}
}

func wrongMethod(method string) *apiError {
	return &apiError{http.StatusMethodNotAllowed, "method_not_supported", "invalid_request_error", "Request method '" + method + "' is not supported."}
}

func bodyTooLarge() *apiError {
	return &apiError{http.StatusRequestEntityTooLarge, "RequestTooLarge", "invalid_request_error", "Request body too large for this endpoint."}
}

func noModel(name string) *apiError {
	return &apiError{
		http.StatusNotFound, "model_not_found", "invalid_request_error",
		"The model `" + name + "` does not exist or you do not have access to it.",
	}
}

// invalid is a refused parameter.
func invalid(message string) *apiError {
	return &apiError{http.StatusBadRequest, "invalid_parameter_error", "invalid_request_error", message}
}

// overBatch is the body seen for embedding batches that are too large
// (hello-agents#27, memobase#142).
func overBatch(limit string) *apiError {
	return &apiError{
		http.StatusBadRequest, "InvalidParameter", "InvalidParameter",
		"<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be larger than " + limit + ".: input.contents",
	}
}
