/* A request of KServe's V2 protocol, from its body to its answer. */
#ifndef INFERENCE_H
#define INFERENCE_H

#include "request.h"
#include "tensors.h"

/* Runs the images of a request whose body was read, and writes the answer. Returns the HTTP status; where that is not
 * 200, `work.problem` says why. A request has one status: one bad image fails it. */
int run_inference(request* of, const model* with, text* answer);

#endif
