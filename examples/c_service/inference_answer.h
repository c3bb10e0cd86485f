/* Detections as the answer of KServe's V2 protocol. */
#ifndef INFERENCE_ANSWER_H
#define INFERENCE_ANSWER_H

#include "inference_request.h"
#include "pipeline.h"

/* Writes the outputs that were asked for about the images of `done`, jobs that succeeded: JSON, and behind it the
 * tensors in binary form. Returns how many bytes are JSON where there is anything behind it, else 0. Tensors with a row
 * for each detection have as many rows for each image as the image with most has; the rest is zeros and empty. */
size_t write_inference_answer(text* to, const inference_request* asked, const job* done);

#endif
