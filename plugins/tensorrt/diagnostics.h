// Sentences for users who build or run an engine: what a plugin expected, what it got, what to do.
#pragma once

#include <cuda_runtime_api.h>

namespace yolact {

// Where sentences go. Each of the two libraries sets its own; without one they are dropped, and the return code alone
// tells TensorRT that something is wrong.
using MessageSink = void (*)(const char* sentence);

void setMessageSink(MessageSink sink) noexcept;

// Hands a sentence, built as by printf, to the sink. Always false, so that checks end with `return refuse(...)`.
__attribute__((format(printf, 1, 2))) bool refuse(const char* format, ...) noexcept;

// The result of `enqueue` for TensorRT: 0, or the error after having reported it.
int enqueueStatus(const char* op, cudaError_t status) noexcept;

}  // namespace yolact
