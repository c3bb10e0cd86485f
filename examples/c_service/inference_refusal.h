/* Why a V2 request is refused. */
#ifndef INFERENCE_REFUSAL_H
#define INFERENCE_REFUSAL_H

#include "inference_request.h"
#include "json_reader.h"

/* Keeps the sentence, unless there is one already, and returns the HTTP status 400. */
int refuse_inference(inference_request* of, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* Says what the JSON should have had where its reader stopped, and returns the HTTP status 400. */
int refuse_json(inference_request* of, const json_reader* at);

#endif
